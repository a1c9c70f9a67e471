"""run.py: what it installs and when, what it says, what it starts, and how it sums up the checks.

Nothing is installed here: pip, the new process and the environment are stand-ins.
"""

from __future__ import annotations

import ast
import contextlib
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import run

Pip = list[tuple[str, ...]]


class Became(Exception):
    """Raised in the place of becoming another process."""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with what run.py reads, inside a virtual environment that is a plain folder."""
    root = tmp_path / "checkout"
    root.mkdir()
    for name in ("requirements.txt", "requirements-dev.txt", run.CURRENT, ".env.example", "pyproject.toml"):
        (root / name).write_bytes((run.ROOT / name).read_bytes())
    environment = tmp_path / "environment"
    environment.mkdir()
    monkeypatch.chdir(root)
    monkeypatch.setattr(run, "ROOT", root)
    monkeypatch.setattr(sys, "prefix", str(environment))

    def become(command: list[str]) -> None:
        raise Became(*command)

    monkeypatch.setattr(run, "become", become)
    monkeypatch.setattr(run, "nvidia_gpu", lambda: "")
    return root


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> Pip:
    """What pip was asked for; it succeeds."""
    calls: Pip = []

    def succeed(*arguments: str) -> bool:
        calls.append(arguments)
        return True

    monkeypatch.setattr(run, "pip", succeed)
    return calls


def start(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[str, ...]:
    """Run it; the command that it became."""
    monkeypatch.setattr(sys, "argv", ["run.py", *arguments])
    with pytest.raises(Became) as caught:
        run.main()
    return caught.value.args


def test_an_old_python_can_read_it() -> None:
    ast.parse((run.ROOT / "run.py").read_text(), feature_version=(3, 6))


def test_a_first_start_installs_writes_env_and_starts(
    checkout: Path, pip: Pip, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = start(monkeypatch, "serve", "--port", "9000", "--no-browser")
    assert command == (sys.executable, "-m", "webrtc_server", "serve", "--port", "9000", "--no-browser")
    assert pip == [("install", "--quiet", "-r", "requirements.txt")]
    assert (checkout / ".env").read_text() == (checkout / ".env.example").read_text()
    assert (checkout / ".env").stat().st_mode & 0o777 == 0o600
    assert "No NVIDIA GPU found" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ("serve",),
        ("doctor", "--json"),
        ("config", "show", "--json"),
        ("models", "list"),
        ("--version",),
        ("--port", "0"),
    ],
)
def test_every_command_gets_what_follows_and_standard_output_to_itself(
    arguments: tuple[str, ...],
    checkout: Path,
    pip: Pip,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert start(monkeypatch, *arguments) == (sys.executable, "-m", "webrtc_server", *arguments)
    assert capsys.readouterr().out == ""


def test_pip_leaves_standard_output_to_the_command(capfd: pytest.CaptureFixture[str]) -> None:
    assert run.pip("--version")
    said = capfd.readouterr()
    assert (said.out, said.err.startswith("pip ")) == ("", True)


def test_a_second_start_installs_nothing_and_keeps_env(
    checkout: Path, pip: Pip, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(monkeypatch)
    pip.clear()
    (checkout / ".env").write_text("PORT=8100\n")
    assert start(monkeypatch) == (sys.executable, "-m", "webrtc_server")
    assert pip == []
    assert (checkout / ".env").read_text() == "PORT=8100\n"


def test_changed_requirements_are_installed(checkout: Path, pip: Pip, monkeypatch: pytest.MonkeyPatch) -> None:
    start(monkeypatch)
    (checkout / "requirements.txt").write_text("aiohttp==3.14.6\n")
    start(monkeypatch)
    assert len(pip) == 2


def test_a_failed_installation_ends_it_and_is_tried_again(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tries: list[str] = []

    def fail(*arguments: str) -> bool:
        tries.append(arguments[-1])
        return False

    monkeypatch.setattr(run, "pip", fail)
    for _ in range(2):
        with pytest.raises(SystemExit) as caught:
            run.install("requirements.txt")
        assert caught.value.code == run.NOT_READY
    assert tries == ["requirements.txt", "requirements.txt"]
    assert "installation failed" in capsys.readouterr().err


def test_without_a_gpu_torch_is_never_asked_for(checkout: Path, pip: Pip, monkeypatch: pytest.MonkeyPatch) -> None:
    start(monkeypatch)
    assert "torch" not in str(pip)
    assert "torch" not in (checkout / "requirements.txt").read_text()


def test_with_a_gpu_the_diffusion_extra_is_installed_once(
    checkout: Path, pip: Pip, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "nvidia_gpu", lambda: "GPU 0: NVIDIA H100")
    start(monkeypatch)
    start(monkeypatch)
    assert len(pip) == 2
    assert pip[1][:3] == ("install", "-c", "requirements.txt")
    assert "streamdiffusion==0.1.1" in pip[1]
    assert "Found GPU 0: NVIDIA H100." in capsys.readouterr().err


def test_a_gpu_whose_libraries_fail_leaves_the_cpu_pipelines(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: Pip = []

    def fail_on_torch(*arguments: str) -> bool:
        calls.append(arguments)
        return "torch" not in str(arguments)

    monkeypatch.setattr(run, "pip", fail_on_torch)
    monkeypatch.setattr(run, "nvidia_gpu", lambda: "an NVIDIA GPU")
    assert start(monkeypatch)[1:] == ("-m", "webrtc_server")
    assert "the CPU pipelines will run" in capsys.readouterr().err
    start(monkeypatch)
    assert len(calls) == 2, "a failure of gigabytes is not repeated at each start"
    assert "to try again" in capsys.readouterr().err


def test_outside_an_environment_it_makes_one_and_goes_on_in_it(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    monkeypatch.setattr(run, "VENV", checkout / ".venv")
    made: list[list[str]] = []

    def make(command: list[str], check: bool, stdout: object) -> subprocess.CompletedProcess[str]:
        assert stdout is sys.stderr
        made.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", make)
    python = checkout / ".venv" / "bin" / "python"
    assert start(monkeypatch, "--port", "0") == (str(python), run.__file__, "--port", "0")
    assert made == [[sys.executable, "-m", "venv", str(checkout / ".venv")]]
    python.parent.mkdir(parents=True)
    python.touch()
    start(monkeypatch)
    assert len(made) == 1, "the one that is there is used"


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("echo 'GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-1)'; echo 'GPU 1: more'", "GPU 0: NVIDIA H100 80GB HBM3"),
        ("echo 'No devices found.'", ""),
        ("echo 'NVIDIA-SMI has failed'; exit 9", ""),
    ],
)
def test_the_drivers_tool_says_whether_there_is_a_gpu(
    script: str, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run.nvidia_gpu() == found


@pytest.mark.parametrize(
    ("report", "code", "installs", "says"),
    [
        ('{"install": [{"metadata": {"name": "torch"}}]}', 0, True, ""),
        ('{"install": [{"metadata": {"name": "nvidia-cublas"}}]}', 0, False, "brings CUDA libraries"),
        ("", 1, False, "pip finds no torch==2.13.0"),
    ],
)
def test_torch_is_installed_for_the_tests_unless_it_brings_cuda(
    report: str,
    code: int,
    installs: bool,
    says: str,
    checkout: Path,
    pip: Pip,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def plan(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        assert "--dry-run" in command
        return subprocess.CompletedProcess(command, code, stdout=report)

    monkeypatch.setattr(subprocess, "run", plan)
    assert run.install_torch(run.Steps()) is installs
    assert (pip == [("install", "--quiet", "torch==2.13.0")]) is installs
    assert says in capsys.readouterr().out


def test_the_summary_fails_if_any_check_did(capsys: pytest.CaptureFixture[str]) -> None:
    steps = run.Steps()
    assert steps.run("good", sys.executable, "-c", "") is True
    steps.skip("absent", "no such tool")
    assert steps.summary() == 0
    assert steps.run("bad", sys.executable, "-c", "raise SystemExit(3)") is False
    steps.run("still run", sys.executable, "-c", "")
    assert steps.summary() == 1
    last = capsys.readouterr().out.splitlines()[-4:]
    assert [line.split(" s  ")[1] for line in last] == ["passed", "skipped: no such tool", "FAILED", "passed"]


def test_the_night_measures_every_promise_and_nothing_else(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[tuple[str, ...]] = []
    monkeypatch.setattr(run.Steps, "run", lambda self, name, *command: commands.append(command))
    monkeypatch.setattr(run, "prepare", lambda steps: False)
    assert run.test(["--nightly"]) == 0
    assert [command[-2:] for command in commands] == [("bench.reliability", "--long")]


def test_what_runs_beside_is_told_in_one_piece_and_counts(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    steps = run.Steps()
    python = (sys.executable, "-c")
    with steps.beside(("slow", *python, "print('one'); raise SystemExit(3)"), ("last", *python, "print('three')")):
        steps.run("quick", *python, "print('two')")
    assert steps.summary() == 1
    printed = capfdbinary.readouterr().out.decode()
    places = [printed.index(f"\n{word}\n") for word in ("two", "one", "three")]
    assert places == sorted(places)
    assert [row[:2] for row in steps.rows] == [("quick", "passed"), ("slow", "FAILED"), ("last", "passed")]
    sleeps = ("left alone", "sleep", "1000")
    with pytest.raises(ZeroDivisionError), steps.beside(sleeps, sleeps):
        raise ZeroDivisionError


@pytest.mark.parametrize("engine", [True, False])
def test_all_checks_run_in_order_and_arguments_reach_pytest(
    engine: bool, checkout: Path, pip: Pip, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands: list[tuple[str, ...]] = []

    def note(self: run.Steps, name: str, *command: str) -> bool:
        commands.append((name, *command))
        return False

    @contextlib.contextmanager
    def note_beside(self: run.Steps, *checks: tuple[str, ...]) -> Iterator[None]:
        for check in checks:
            note(self, *check)
        yield

    monkeypatch.setattr(run.Steps, "run", note)
    monkeypatch.setattr(run.Steps, "beside", note_beside)
    monkeypatch.setattr(run.Steps, "summary", lambda self: 7)
    monkeypatch.setattr(run, "prepare", lambda steps: engine)
    monkeypatch.setattr(run, "page", lambda steps: None)
    assert run.test([]) == 7
    targets = "tests/e2e/test_targets.py"
    slow, promises, fast = (
        next(c for c in commands if c[0] == name) for name in ("slow tests", "promises", "fast tests")
    )
    assert (slow[4:], fast[4:6]) == (("-m", "slow", f"--ignore={targets}"), ("-m", "not slow"))
    assert promises == ("promises", sys.executable, "-m", "bench.reliability", "--fast")
    assert commands[-1] == ("targets", sys.executable, "-m", "pytest", targets)
    if engine:
        python = run.python_of(Path(sys.prefix) / "current-diffusion")
        assert commands[-2][1:] == (str(python), "-m", "pytest", "tests/pipeline/diffusion", "tests/contract")
    else:
        assert "== current diffusion: skipped, the engine is not installed" in capsys.readouterr().out
    commands.clear()
    assert run.test(["-k", "config"]) == 7
    assert [command[0] for command in commands] == ["lint", "format", "types", "imports", "tests"]
    assert commands[4][-3:] == ("pytest", "-k", "config")


def test_current_diffusion_libraries_lie_over_the_packages_that_are_here(
    checkout: Path, pip: Pip, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Path(sysconfig.get_path("purelib", "venv", {"base": sys.prefix}))
    here.mkdir(parents=True)
    python = run.install_current_diffusion()
    assert python
    wanted = ("--python", str(python), "install", "--quiet", "--no-deps", "-r", run.CURRENT)
    assert pip == [wanted]
    command = [str(python), "-c", "import sys; print(*sys.path, sep='\\n')"]
    seen = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert seen[-2:] == [sysconfig.get_path("purelib", "venv", {"base": str(python.parents[1])}), str(here)]
    assert run.install_current_diffusion() == python
    assert pip == [wanted], "once"
    (checkout / run.CURRENT).write_text("diffusers==0.43.0\n")
    assert run.install_current_diffusion() == python
    assert pip == [wanted, wanted]


def test_current_diffusion_libraries_that_cannot_be_installed_are_tried_again_and_told(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tries: list[tuple[str, ...]] = []

    def fail(*arguments: str) -> bool:
        tries.append(arguments)
        return False

    monkeypatch.setattr(run, "pip", fail)
    for _ in range(2):
        steps = run.Steps()
        run.current_diffusion(steps)
        assert [(name, result) for name, result, _ in steps.rows] == [
            ("current diffusion", f"skipped: pip could not install {run.CURRENT}")
        ]
    assert len(tries) == 2


def test_without_node_the_page_is_skipped_with_a_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    steps = run.Steps()
    run.page(steps)
    assert steps.summary() == 0
    assert "skipped, no Node.js" in capsys.readouterr().out


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_signals_reach_what_it_became(stop: signal.Signals, start_child: Callable[[], subprocess.Popen[str]]) -> None:
    child = start_child()
    child.send_signal(stop)
    assert child.wait(timeout=10) == 40 + stop


@pytest.fixture
def start_child(request: pytest.FixtureRequest) -> Callable[[], subprocess.Popen[str]]:
    """A process that becomes another, which answers a signal by its number as exit code."""
    inner = (
        "import signal, sys, time\n"
        "for s in (signal.SIGINT, signal.SIGTERM): signal.signal(s, lambda n, f: sys.exit(40 + n))\n"
        "print('ready', flush=True); time.sleep(60)"
    )
    outer = f"import run, sys; run.become([sys.executable, '-c', {inner!r}])"

    def begin() -> subprocess.Popen[str]:
        child = subprocess.Popen([sys.executable, "-c", outer], cwd=run.ROOT, stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        request.addfinalizer(child.stdout.close)
        request.addfinalizer(child.wait)
        request.addfinalizer(child.kill)
        assert child.stdout.readline() == "ready\n"
        return child

    return begin
