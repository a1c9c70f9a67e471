"""Carry out the Dockerfile without a container engine, in fresh Debian trees, and try what comes out of it.

`python tools/try_image.py [cpu|cuda]`, as root on Linux with debootstrap; it takes a few gigabytes in the temporary
folder, the target `cuda` many. Debian's own Python in a minimal tree stands in for the base image, so a library that
the image lacks is lacking here. Each instruction is carried out as it stands, but for apt-get's, which are for machines
that lack wheels: a step that needs a compiler fails.

The last stage is then started as compose starts it: as its user, without capabilities, read-only but for /tmp. It must
pass its own health check, serve its page, and end with 0 after SIGTERM.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import stat
import string
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SUITE, PACKAGES = "trixie", "python3,python3-venv,ca-certificates"
FROM_HERE = ("/etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt")  # so that pip gets out as it does here
COMPILERS = ("cc", "gcc", "c++", "clang", "make")
START_LIMIT, STOP_LIMIT = 60, 40  # seconds: the health check's start period, compose's grace
DEVICES = {"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9}  # mem(4)
INSIDE = "LIVE_DIFFUSION_TRYING_IMAGE"  # in the environment of this script in mounts of its own

Steps = list[tuple[str, str]]  # kind of instruction, the rest of it


@dataclass(frozen=True)
class Stage:
    """A tree, and what its instructions have set for those that follow."""

    tree: Path
    environment: dict[str, str] = field(
        default_factory=lambda: {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}
    )
    folder: str = "/"
    user: str = "0"
    last: dict[str, str] = field(default_factory=dict)  # the rest of the last instruction of each kind

    def command(self, *command: str) -> list[str]:
        """To be run in the tree, as its user and without any rights."""
        who = ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups", "--no-new-privs"]
        rights = [] if self.user == "0" else ["--bounding-set=-all", "--inh-caps=-all"]
        return ["chroot", str(self.tree), *who, *rights, "sh", "-c", 'cd "$0" && exec "$@"', self.folder, *command]

    def run(self, *command: str) -> bool:
        quiet = subprocess.run(
            self.command(*command), env=self.environment, capture_output=True, text=True, check=False
        )
        if quiet.returncode:
            print(quiet.stdout[-2000:], quiet.stderr[-2000:], sep="\n")
        return quiet.returncode == 0


def main() -> None:
    target = sys.argv[1] if len(sys.argv) > 1 else "cpu"
    if INSIDE not in os.environ:  # what is mounted is gone when this ends, however it does
        command = ["unshare", "--mount", "--propagation=private", sys.executable, __file__, target]
        os.execvpe(command[0], command, os.environ | {INSIDE: "1"})
    with tempfile.TemporaryDirectory(prefix="live-diffusion-image-") as folder:
        base = Path(folder) / "debian"
        subprocess.run(["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, base], check=True)
        (base / "usr/local/bin/python").symlink_to("/usr/bin/python3")
        for file in FROM_HERE:
            shutil.copyfile(file, base / file.lstrip("/"))
        stages = read((ROOT / "Dockerfile").read_text())
        try:
            try_it(build(target, stages, {"": Stage(base)}, Path(folder)))
        finally:
            unmount(Path(folder))


def read(dockerfile: str) -> dict[str, tuple[str, Steps]]:
    """By stage: what it is made from, and its instructions."""
    text = re.sub(r"^#.*\n", "", dockerfile, flags=re.MULTILINE).replace("\\\n", "")
    stages: dict[str, tuple[str, Steps]] = {}
    steps: Steps = []
    for kind, rest in re.findall(r"^([A-Z]+) +(.+)$", text, re.MULTILINE):
        if kind == "FROM":
            base, _, name = rest.partition(" AS ")
            steps = []
            stages[name] = base, steps
        else:
            steps.append((kind, rest))
    return stages


def build(name: str, stages: dict[str, tuple[str, Steps]], built: dict[str, Stage], folder: Path) -> Stage:
    """The stage of that name, made after those that it needs. Ends the process if a step fails."""
    if name in built:
        return built[name]
    base, steps = stages[name]
    for needed in (base if base in stages else "", *re.findall(r"--from=(\S+)", " ".join(rest for _, rest in steps))):
        build(needed, stages, built, folder)
    under = built[base if base in stages else ""]
    stage = replace(under, tree=folder / name)
    subprocess.run(["cp", "--archive", "--one-file-system", "--reflink=auto", under.tree, stage.tree], check=True)
    for kind, rest in steps:
        begun = time.monotonic()
        stage = carry_out(stage, kind, rest, built)
        print(f"{name}: {kind} {rest[:90]} ({time.monotonic() - begun:.1f} s)", flush=True)
    built[name] = stage
    return stage


def carry_out(stage: Stage, kind: str, rest: str, built: dict[str, Stage]) -> Stage:
    match kind:
        case "ENV":
            words = shlex.split(string.Template(rest).safe_substitute(stage.environment))
            return replace(stage, environment=stage.environment | dict(word.split("=", 1) for word in words))
        case "WORKDIR":
            inside(stage, rest).mkdir(parents=True, exist_ok=True)
            return replace(stage, folder=rest)
        case "USER":
            user = rest if rest.isdigit() else "0"
            return replace(stage, user=user, last=stage.last | {kind: rest})
        case "RUN" if rest.startswith("apt-get "):
            return stage
        case "RUN":
            mounted(stage)
            if not stage.run("sh", "-c", rest):
                sys.exit(f"failed: RUN {rest}")
            return stage
        case "COPY":
            *options, to = rest.split()
            made = [option.partition("=")[2] for option in options if option.startswith("--from=")]
            source = built[made[0]].tree if made else ROOT
            for each in options[len(made) :]:
                copy(source / each.lstrip("/"), inside(stage, to), into=to.endswith("/"))
            return stage
        case _:
            return replace(stage, last=stage.last | {kind: rest})


def inside(stage: Stage, path: str) -> Path:
    return stage.tree / str(Path(stage.folder) / path).lstrip("/")


def copy(source: Path, to: Path, into: bool) -> None:
    if source.is_dir():
        shutil.copytree(source, to, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy2(source, to / source.name if into else to)


def mounted(stage: Stage) -> None:
    """What a container has of the kernel; nothing of this machine's own. Repeatable."""
    if os.path.ismount(stage.tree / "dev"):
        return
    subprocess.run(["mount", "-t", "proc", "proc", stage.tree / "proc"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", stage.tree / "dev"], check=True)
    for name, minor in DEVICES.items():
        os.mknod(stage.tree / "dev" / name, 0o666 | stat.S_IFCHR, os.makedev(1, minor))
        (stage.tree / "dev" / name).chmod(0o666)


def unmount(folder: Path) -> None:
    for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
        if (point := line.split()[1]).startswith(f"{folder}/"):
            subprocess.run(["umount", "--lazy", point], check=True)


def try_it(stage: Stage) -> None:
    mounted(stage)
    subprocess.run(["mount", "--rbind", stage.tree, stage.tree], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", stage.tree], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", stage.tree / "tmp"], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    stage = replace(stage, environment=stage.environment | {"LIVE_DIFFUSION_PORT": str(port)})
    places = [stage.tree / place for place in ("usr/bin", "usr/local/bin")]
    compilers = [name for name in COMPILERS if any((place / name).exists() for place in places)]
    expect(not compilers, "it has no compiler")
    command = [*json.loads(stage.last["ENTRYPOINT"]), *json.loads(stage.last["CMD"])]
    check = json.loads(stage.last["HEALTHCHECK"].partition("CMD ")[2])
    with subprocess.Popen(stage.command(*command), env=stage.environment) as server:
        try:
            expect(until(lambda: succeeds(stage, *check), server), "the health check is passed")
            expect(
                until(lambda: b'"ready": true' in answer(port, "/readyz"), server), "its picture process has painted"
            )
            status = Path(f"/proc/{server.pid}/status").read_text()
            expect(f"Uid:\t{stage.last['USER']}\t" in status and "CapBnd:\t0000000000000000" in status, "it is nobody")
            expect(not succeeds(stage, "sh", "-c", "touch /opt/x || touch /home/x"), "it can write nothing")
            expect(b"Live Diffusion" in answer(port, "/"), "it serves its page")
            server.send_signal(signal.SIGTERM)
            expect(server.wait(STOP_LIMIT) == 0, "it ends with 0")
        finally:
            server.kill()


def until(happened: Callable[[], bool], server: subprocess.Popen[bytes]) -> bool:
    """Whether it happens within START_LIMIT, while the server lives."""
    deadline = time.monotonic() + START_LIMIT
    while not happened():
        if server.poll() is not None or time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


def succeeds(stage: Stage, *command: str) -> bool:
    done = subprocess.run(stage.command(*command), env=stage.environment, capture_output=True, check=False)
    return done.returncode == 0


def answer(port: int, path: str) -> bytes:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
            body: bytes = response.read()
            return body
    except urllib.error.HTTPError as error:
        return error.read()


def expect(fact: bool, what: str) -> None:
    if not fact:
        sys.exit(f"not so: {what}")
    print(f"so: {what}", flush=True)


if __name__ == "__main__":
    main()
