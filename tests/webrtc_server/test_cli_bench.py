"""`live-diffusion bench` as the program it is, its exit codes, and the sums that it does."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from pipeline.backend import Progress
from pipeline.settings import Settings
from pipeline.worker.messages import Loading
from pipeline.worker.supervisor import WorkerState
from run import ROOT
from webrtc_server.cli.main import app
from webrtc_server.cli.progress import ProgressBar, WorkerProgress, amount
from webrtc_server.client import ConnectionLost
from webrtc_server.config import Config
from webrtc_server.diagnosis import loopback, scene, stages
from webrtc_server.diagnosis.figures import DISTINCT, Figures, Times, latencies


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a .env of the checkout must not decide what these tests see
    monkeypatch.setattr("webrtc_server.observe.log.setup", lambda level, fmt, secrets: None)


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)}


@pytest.mark.slow
def test_a_run_and_its_file(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    arguments = (
        "--pipeline",
        "effects",
        "--prompt",
        "pixel art",
        "--size",
        "256",
        "--seconds",
        "6",
        "--json",
        str(path),
    )
    command = [sys.executable, "-m", "webrtc_server", "bench", *arguments, "--min-fps", "500"]
    token = {"LIVE_DIFFUSION_AUTH_TOKEN": "sixteen-letters-or-more"}  # which its own client has to send
    done = subprocess.run(command, capture_output=True, text=True, env=environment() | token, check=False)
    assert done.returncode == 4, done.stderr
    assert "frames a second are fewer than 500" in done.stderr
    assert "stages " in done.stderr
    assert "end to end " in done.stderr
    figures = Figures.model_validate_json(path.read_text())
    conditions, end = figures.conditions, figures.end_to_end
    assert (conditions.pipeline, conditions.width, conditions.height, conditions.prompt) == (
        "effects",
        256,
        256,
        "pixel art",
    )
    assert (figures.machine.cores, figures.machine.device) == (os.cpu_count(), "cpu")
    assert tuple(figures.stages) == stages.STAGES
    assert all(0 < times.p50 <= times.p95 for times in figures.stages.values())
    assert 0 < end.fps <= scene.FPS + 3
    assert {"waited", "pipeline", "server"} <= set(end.server)
    assert end.latency is None or 0 < end.latency.p50 <= end.latency.p95 < 1000 * scene.FLIP_EVERY
    assert f"{end.fps} pictures a second painted" in done.stdout
    assert "sixteen" not in path.read_text() + done.stdout + done.stderr


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["bench", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_what_cannot_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    code, text = run("--size", "100")
    assert (code, "--width" in text) == (2, True)
    code, text = run("--pipeline", "paint")
    assert (code, "--pipeline: must be one of" in text) == (2, True)
    assert run("--seconds", "1")[0] == 2
    monkeypatch.setattr("pipeline.registry.Entry.missing", lambda self: "numpy not installed")
    assert run("--pipeline", "effects") == (3, "error: pipeline effects cannot run: numpy not installed\n")


def test_every_stage_takes_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage that is made slow is the one that shows it."""
    from pipeline.backends.identity import Identity

    step = Identity.step

    def slow(self: Identity, batch: object) -> object:
        threading.Event().wait(0.05)
        return step(self, batch)  # type: ignore[arg-type]

    monkeypatch.setattr(Identity, "step", slow)
    passed: list[float] = []
    settings = Settings(pipeline="identity")
    times, device = stages.measure(settings, None, 0.6, lambda progress: None, passed.append)
    assert device == "cpu"
    assert times["paint"].p50 >= 50
    assert all(times[stage].p50 < 50 for stage in ("decode", "preprocess", "post"))
    assert 0 <= passed[0] < passed[-1] < 0.6
    assert len(passed) == times["paint"].count + stages.WARM_UP


def seen(flips: list[tuple[float, bool]], late: float, dark: float, light: float) -> list[tuple[float, float]]:
    """A screen at 100 pictures a second that shows each flip `late`."""
    pictures, until = [], flips[-1][0]
    for number in range(round(until * 100)):
        at = number / 100
        last = [is_light for flipped, is_light in flips if flipped + late <= at][-1:]
        is_light = last[0] if last else not flips[0][1]
        pictures.append((at, light if is_light else dark))
    return pictures


FLIPS = [(float(second), second % 2 == 1) for second in range(1, 8)]


@pytest.mark.parametrize("late", [0.005, 0.15, 0.85])
def test_latency_is_from_a_flip_to_its_sight(late: float) -> None:
    found = latencies(FLIPS, seen(FLIPS, late, 40, 200))
    assert found is not None
    assert len(found) == len(FLIPS) - 1
    assert all(late * 1000 - 1 < one < late * 1000 + 11 for one in found)


def test_no_latency_where_none_can_be_seen() -> None:
    assert latencies(FLIPS, seen(FLIPS, 0.1, 100, 100 + DISTINCT)) is not None
    assert latencies(FLIPS, seen(FLIPS, 0.1, 100, 100 + DISTINCT - 1)) is None
    assert latencies(FLIPS, seen(FLIPS, 1.5, 40, 200)) is None  # each flip is over before it is seen
    assert latencies(FLIPS[:1], seen(FLIPS, 0.1, 40, 200)) is None
    assert latencies(FLIPS, []) is None


def test_a_flip_that_nothing_showed_is_left_out() -> None:
    stalled = [(at, brightness) for at, brightness in seen(FLIPS, 0.1, 40, 200) if not 3.05 < at < 4.5]
    found = latencies(FLIPS, stalled)
    assert found is not None
    assert len(found) == len(FLIPS) - 3  # the last has no end, one was not seen, and the next showed nothing new


def test_percentiles() -> None:
    assert Times.of([]) is None
    assert Times.of([float(n) for n in range(100)]) == Times(p50=50, p95=95, count=100)


def test_progress_on_a_terminal_and_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    reports = [Progress("download", done, 4_000_000, "bytes") for done in range(0, 4_000_001, 100_000)]
    with ProgressBar() as bar:
        for report in (*reports, Progress("VAE", 0, 1, "steps"), Progress("ready")):
            bar(report)
    assert capsys.readouterr().err.splitlines() == [
        "download 0 bytes of 4.0 MB",
        "download 1.0 MB of 4.0 MB",
        "download 2.0 MB of 4.0 MB",
        "download 3.0 MB of 4.0 MB",
        "download 4.0 MB of 4.0 MB",
        "VAE 0 of 1 steps",
        "ready",
    ]
    with ProgressBar(Console(stderr=True, force_terminal=True, force_interactive=True, width=100)) as bar:
        bar(reports[20])
        bar._bar.refresh()
        sys.stdout.write("the answer")
    shown = capsys.readouterr()
    assert "download" in shown.err
    assert "2.0 MB of 4.0 MB" in shown.err
    assert shown.out == "the answer"
    assert amount(Progress("start")) == ""


def test_a_workers_load_is_shown_until_it_is_up(capsys: pytest.CaptureFixture[str]) -> None:
    show = WorkerProgress()
    show(WorkerState("loading"))
    show(WorkerState("loading", progress=Loading("network", 1, 2, "steps")))
    show(WorkerState("ready", "effects"))
    show(WorkerState("ready", "effects", switching="m", progress=Loading("weights", 0, 1, "steps")))
    show.close()
    show.close()
    assert capsys.readouterr().err.splitlines() == ["network 1 of 2 steps", "weights 0 of 1 steps"]


@pytest.mark.slow
def test_serve_shows_the_warm_up_on_a_terminal() -> None:
    """The bar is on the terminal, and nothing of it in a file that standard output goes to."""
    near, far = pty.openpty()
    terminal = environment() | {"TERM": "xterm", "COLUMNS": "100"}
    command = [sys.executable, "-m", "webrtc_server", "--pipeline", "neural-style", "--port", "0"]
    shown = b""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=far, env=terminal) as process:
        os.close(far)
        try:
            while not re.search(rb"neural-style: network.{0,200}\d of 2 steps", shown, re.DOTALL):
                shown += os.read(near, 4096)  # ends with the process, if not before
        finally:
            process.terminate()
            assert process.stdout
            printed = process.stdout.read()
            process.wait()
            os.close(near)
    assert b"listening on http://127.0.0.1:" in printed
    assert b"network" not in printed


async def test_a_server_that_dies_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = tmp_path / "python"
    server.write_text("#!/bin/sh\necho listening on http://127.0.0.1:1\nexit 7\n")
    server.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(server))
    monkeypatch.setattr("webrtc_server.rtc.patches.offer_loopback", lambda: None)
    monkeypatch.setattr(loopback, "READY_TIMEOUT", 5.0)
    with pytest.raises(loopback.ServerFailed, match="the server ended with code 7"):
        await loopback.measure(Config(), "effects", {}, 1.0, lambda at: None)


def test_a_connection_that_is_lost_is_1(monkeypatch: pytest.MonkeyPatch) -> None:
    async def lost(*arguments: object) -> None:
        raise ConnectionLost("it is gone")

    monkeypatch.setattr(loopback, "measure", lost)
    monkeypatch.setattr(stages, "measure", lambda *arguments: ({}, None))
    result = CliRunner().invoke(app, ["bench", "--pipeline", "identity"], env=dict(os.environ))
    assert (result.exit_code, "error: it is gone" in result.output) == (1, True), result.output
