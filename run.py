"""Start Live Diffusion from a fresh checkout: `python run.py`. Check it: `python run.py test`, or for an hour at night,
as root, `python run.py test --nightly`.

Makes .venv unless it runs inside one already, installs what is pinned, writes .env, says what it found and becomes the
server; whatever else stands on the command line goes to the server. Needs nothing but Python's standard library.
"""

import contextlib
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TextIO

NEEDS = (3, 11)
NOT_READY = 3  # the exit code of the server too, where its surroundings lack something

if sys.version_info < NEEDS:  # before any line that an older Python cannot run
    print("Live Diffusion needs Python 3.11 or newer; {} is {}.".format(sys.executable, platform.python_version()))
    print("If that is this folder's .venv, remove it and run this with a newer Python.")
    sys.exit(NOT_READY)

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
TORCH = "torch==2.13.0"
CURRENT = "requirements-diffusion-current.txt"
TIMED_TESTS = "tests/e2e/test_targets.py"  # so these have the machine to themselves
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def main() -> None:
    os.chdir(ROOT)
    if sys.prefix == sys.base_prefix:
        become([str(make_venv()), __file__, *sys.argv[1:]])
    arguments = sys.argv[1:]
    if arguments[:1] == ["test"]:
        sys.exit(test(arguments[1:]))
    install("requirements.txt")
    if not (ROOT / ".env").exists():
        (ROOT / ".env").touch(0o600)  # for its owner alone: it is the place for secrets
        shutil.copyfile(ROOT / ".env.example", ROOT / ".env")
        note("Wrote .env from .env.example: the place for your own defaults.")
    gpu = nvidia_gpu()
    if gpu:
        note(f"Found {gpu}.")
        if not install_diffusion():
            note("The diffusion engine is not installed: the CPU pipelines will run.")
    else:
        note("No NVIDIA GPU found: a CPU pipeline will run.")
    become([sys.executable, "-m", "webrtc_server", *arguments])


def say(text: str) -> None:
    print(text, flush=True)  # at once, for what comes next writes to the same terminal by itself


def note(text: str) -> None:
    """On the way to a command, whose own answer is all that standard output is for: `run.py config show --json`."""
    print(text, file=sys.stderr, flush=True)


def become(command: list[str]) -> None:
    """Put `command` in the place of this process, so that signals and the exit code are its own."""
    sys.stdout.flush()
    if os.name == "posix":
        os.execv(command[0], command)
    sys.exit(subprocess.run(command, check=False).returncode)


# Surroundings


def make_venv() -> Path:
    """The Python of .venv, which is made first if it is missing."""
    python = python_of(VENV)
    if not python.exists():
        note("Making .venv ...")
        if subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=False, stdout=sys.stderr).returncode:
            note("Cannot make a virtual environment. On Debian and Ubuntu: apt install python3-venv")
            sys.exit(NOT_READY)
    return python


def python_of(environment: Path) -> Path:
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def pip(*arguments: str) -> bool:
    """Run pip here; false where it failed, which it has then explained. On standard error, as `note`."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, check=False, stdout=sys.stderr).returncode == 0


def stamp(name: str, content: bytes) -> Path:
    """The file whose being there says that `content` is installed into this very environment."""
    digest = hashlib.sha256(content + sys.version.encode()).hexdigest()[:16]
    return Path(sys.prefix) / f".live-diffusion-{name}-{digest}"


def install(name: str) -> None:
    """Install the requirements file `name`, unless that was done before. Ends the process if it cannot."""
    pinned = b"".join((ROOT / file).read_bytes() for file in dict.fromkeys(("requirements.txt", name)))
    done = stamp(name, pinned)
    if done.exists():
        return
    note(f"Installing {name} into {sys.prefix} (a minute or so, once) ...")
    if not pip("install", "--quiet", "-r", name):
        note("The installation failed, for the reason above. Run this again when it is mended.")
        sys.exit(NOT_READY)
    done.touch()


def install_diffusion() -> bool:
    """Install the extra `diffusion`; whether it is there. A failure is not tried again until its mark is removed."""
    import tomllib  # here, as only Python 3.11 has it

    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["diffusion"]
    done = stamp("diffusion", "\n".join(extra).encode())
    failed = done.with_name(f"{done.name}-failed")
    if done.exists():
        return True
    if failed.exists():
        note(f"Its installation failed before; remove {failed} to try again.")
        return False
    note("Installing the diffusion engine: several gigabytes, once; without CUDA a few hundred megabytes ...")
    if pip("install", "-c", "requirements.txt", *extra):
        done.touch()
        return True
    failed.touch()
    return False


def nvidia_gpu() -> str:
    """The first NVIDIA GPU in words, or nothing. Asks the driver's own tool, then looks for its device file."""
    tool = shutil.which("nvidia-smi")
    if tool:
        try:
            listed = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=10, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return ""
        first = listed.stdout.partition("\n")[0].partition(" (UUID")[0]
        return first if listed.returncode == 0 and first.startswith("GPU") else ""
    return "an NVIDIA GPU" if Path("/dev/nvidia0").exists() else ""


# python run.py test


class Steps:
    """Runs one check after the other, each under its heading, and remembers how each went."""

    def __init__(self, output: "TextIO | None" = None) -> None:
        """`output`: a file for all that is printed, in place of the terminal."""
        self.rows: list[tuple[str, str, float]] = []
        self._output = output
        self._running: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def run(self, name: str, *command: str) -> bool:
        print(f"\n== {name}: {' '.join(command)}", flush=True, file=self._output)
        start = time.monotonic()
        self._running = subprocess.Popen(command, stdout=self._output, stderr=self._output and subprocess.STDOUT)
        if self._stopped:  # just now, by the thread that `beside` is in
            self._running.kill()
        passed = self._running.wait() == 0
        self.rows.append((name, "passed" if passed else "FAILED", time.monotonic() - start))
        return passed

    @contextlib.contextmanager
    def beside(self, *checks: "tuple[str, ...]") -> "Iterator[None]":
        """Run `checks`, each a name and a command, one after the other while what is inside runs: most of both is
        waiting. What they print comes at the end, in one piece."""
        say(f"\n== beside what follows: {', '.join(name for name, *_ in checks)}")
        file = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        with file as output, ThreadPoolExecutor(1) as thread:
            side = Steps(output)
            running = thread.submit(side._run_all, checks)
            try:
                yield
                running.result()
            finally:
                side._stop()
            self.rows += side.rows
            say(f"\n== what ran beside: {', '.join(name for name, *_ in checks)}")
            output.seek(0)
            shutil.copyfileobj(output, sys.stdout)
            sys.stdout.flush()

    def _run_all(self, checks: "tuple[tuple[str, ...], ...]") -> None:
        for check in checks:
            if not self._stopped:
                self.run(*check)

    def _stop(self) -> None:
        self._stopped = True
        if self._running:
            self._running.kill()

    def skip(self, name: str, reason: str) -> None:
        say(f"\n== {name}: skipped, {reason}")
        self.rows.append((name, f"skipped: {reason}", 0.0))

    def summary(self) -> int:
        say("\n== summary")
        for name, result, seconds in self.rows:
            say(f"{name:<20}{seconds:7.1f} s  {result}")
        return int(any(result == "FAILED" for _, result, _ in self.rows))


def test(pytest_arguments: list[str]) -> int:
    """Install what the checks need, run them all even where one fails, and answer the exit code."""
    steps = Steps()
    engine = prepare(steps)
    python = (sys.executable, "-m")
    if pytest_arguments == ["--nightly"]:
        steps.run("promises", *python, "bench.reliability", "--long")
        return steps.summary()
    tools = Path(sys.executable).parent
    steps.run("lint", *python, "ruff", "check")
    steps.run("format", *python, "ruff", "format", "--check")
    steps.run("types", *python, "mypy")
    steps.run("imports", str(tools / "lint-imports"), "--no-logo")
    page(steps)
    if pytest_arguments:  # who asks for some tests has no use for minutes of others
        steps.run("tests", *python, "pytest", *pytest_arguments)
        return steps.summary()
    slow = ("slow tests", *python, "pytest", "-m", "slow", f"--ignore={TIMED_TESTS}")
    promises = ("promises", *python, "bench.reliability", "--fast")
    with steps.beside(slow, promises):
        steps.run("fast tests", *python, "pytest", "-m", "not slow", "--durations=25")
        if engine:
            current_diffusion(steps)
        else:
            steps.skip("current diffusion", "the engine is not installed, for the reason above")
    steps.run("targets", *python, "pytest", TIMED_TESTS)
    return steps.summary()


def prepare(steps: Steps) -> bool:
    """Have all that the checks need; whether the diffusion engine is there too."""
    start = time.monotonic()
    torch = install_torch(steps)  # first, so that nothing after it fetches another build
    install("requirements-dev.txt")
    engine = torch and install_diffusion()
    if torch and not engine:
        steps.skip("diffusion", "pip could not install the engine; its tests are skipped")
    steps.rows.append(("installation", "passed", time.monotonic() - start))
    install_browser(steps)
    return engine


def current_diffusion(steps: Steps) -> None:
    """The engine's tests once more, with the newest libraries that it is made for."""
    start = time.monotonic()
    python = install_current_diffusion()
    if python is None:
        steps.skip("current diffusion", f"pip could not install {CURRENT}")
        return
    steps.rows.append(("its installation", "passed", time.monotonic() - start))
    steps.run("current diffusion", str(python), "-m", "pytest", "tests/pipeline/diffusion", "tests/contract")


def install_current_diffusion() -> "Path | None":
    """The Python of an environment inside this one that has CURRENT first and all of this one's packages after it."""
    environment = Path(sys.prefix) / "current-diffusion"
    python = python_of(environment)
    done = stamp("current-diffusion", (ROOT / CURRENT).read_bytes())
    if done.exists():
        return python
    say(f"\n== installing {CURRENT} into {environment} (a quarter of a gigabyte, once)")
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", str(environment)], check=False)
    if made.returncode:
        return None
    here, there = (sysconfig.get_path("purelib", "venv", {"base": base}) for base in (sys.prefix, str(environment)))
    (Path(there) / "beneath.pth").write_text(here)
    if not pip("--python", str(python), "install", "--quiet", "--no-deps", "-r", CURRENT):
        return None
    done.touch()
    return python


def install_browser(steps: Steps) -> None:
    """Have a Chromium for the tests of the page: one that is here, or Debian's."""
    if not has_browser() and shutil.which("apt-get") and os.geteuid() == 0:
        say("\n== browser: installing Debian's chromium")
        for command in (("update",), ("install", "--yes", "--no-install-recommends", "chromium")):
            subprocess.run(["apt-get", "--quiet", *command], check=False)
    if not has_browser():
        steps.skip("browser", "no Chromium here, and it takes root on Debian to install it; its tests are skipped")


def has_browser() -> bool:
    return any(shutil.which(name) for name in BROWSERS)


def install_torch(steps: Steps) -> bool:
    """Install the one torch that the tests are written for, unless it would bring CUDA libraries along; is it there?"""
    done = stamp("torch", TORCH.encode())
    if done.exists():
        return True
    asked = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--dry-run", "--quiet"]
    plan = subprocess.run([*asked, "--report", "-", TORCH], capture_output=True, text=True, check=False)
    if plan.returncode:
        steps.skip("torch", f"pip finds no {TORCH} for this Python")
    elif '"name": "nvidia-' in plan.stdout or '"name": "cuda-' in plan.stdout:
        steps.skip("torch", f"the {TORCH} that pip finds brings CUDA libraries; nothing needs it without a GPU")
    elif pip("install", "--quiet", TORCH):
        done.touch()
    else:
        steps.skip("torch", f"pip could not install {TORCH}")
    return done.exists()


def page(steps: Steps) -> None:
    """The page's own checks, with the tools that package-lock.json pins."""
    if not shutil.which("node") or not shutil.which("npm"):
        steps.skip("page", "no Node.js here; it checks the page's code, the server needs none")
        return
    lock = (ROOT / "package-lock.json").read_bytes()
    done = ROOT / "node_modules" / f".installed-{hashlib.sha256(lock).hexdigest()[:16]}"
    if not done.exists():
        # Not `npm ci`: it refuses a lock that lacks optional packages for platforms other than the one it was made on.
        if not steps.run("page tools", "npm", "install", "--no-save", "--no-audit", "--no-fund"):
            return
        done.touch()
    for name in ("lint", "types", "test"):
        steps.run(f"page {name}", "npm", "run", "--silent", name)


if __name__ == "__main__":
    main()
