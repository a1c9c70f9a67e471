"""`live-diffusion bench`: what a frame costs on this machine, step by step, and what a client on it gets.

The first quarter of the time goes to the stages in this process, the rest to a server of its own with one client. Exit
codes: 0 done, 1 the connection was lost, 2 the command line or configuration is wrong, 3 the pipeline cannot run here,
4 fewer frames a second than `--min-fps`.
"""

from __future__ import annotations

import asyncio
import os
import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.backend import Progress
from pipeline.errors import PipelineError
from pipeline.registry import choose
from pipeline.settings import Settings, merge
from webrtc_server import __version__
from webrtc_server.cli.config import read
from webrtc_server.cli.exits import Exit, fail
from webrtc_server.cli.table import show
from webrtc_server.config import Config
from webrtc_server.observe import log

if TYPE_CHECKING:
    from webrtc_server.diagnosis.figures import Figures, Machine, Times

STAGES_SHARE = 0.25  # of the time
LIBRARIES = ("aiortc", "av", "numpy", "onnxruntime", "torch")


def bench(
    seconds: Annotated[float, typer.Option(min=2, max=3600, help="How long to measure, start and warm-up aside.")] = 20,
    size: Annotated[int | None, typer.Option(help="Sides of the painted picture, in pixels.")] = None,
    pipeline: Annotated[str | None, typer.Option(help="As for serve.")] = None,
    prompt: Annotated[str | None, typer.Option(help="As for serve.")] = None,
    file: Annotated[Path | None, typer.Option("--json", help="Write the figures there, to compare runs.")] = None,
    min_fps: Annotated[float | None, typer.Option(min=0, help="End with code 4 below it.")] = None,
) -> None:
    """Measure each stage, and a whole session."""
    _, process = read({"pipeline": pipeline, "prompt": prompt, "width": size, "height": size})
    try:
        name = choose(process.pipeline).name
        settings = merge(process.session_settings(name), {"steadiness": 0}).settings  # which is late on purpose
    except LookupError as error:
        fail(str(error.args[0]), Exit.NOT_READY)
    log.setup("warning", "auto", process.secrets)
    figures = _measured(process, settings, seconds)
    _print(figures)
    if file is not None:
        try:
            file.write_text(figures.model_dump_json(indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            fail(f"{file} cannot be written: {error.strerror}", Exit.NOT_READY)
    if min_fps is not None and figures.end_to_end.fps < min_fps:
        fail(f"{figures.end_to_end.fps} frames a second are fewer than {min_fps}", Exit.TOO_SLOW)


def _measured(process: Config, settings: Settings, seconds: float) -> Figures:
    from webrtc_server.cli.progress import ProgressBar  # here, so that --help answers at once
    from webrtc_server.client import ConnectionLost, ServerError
    from webrtc_server.diagnosis import loopback, scene, stages
    from webrtc_server.diagnosis.figures import Conditions, Figures
    from webrtc_server.web.app import worker_environment

    os.environ.update(worker_environment(process))  # the stages' model is to be the worker's
    machine = _machine()
    first, second = seconds * STAGES_SHARE, seconds * (1 - STAGES_SHARE)
    sent = settings.model_dump(mode="json")
    try:
        with ProgressBar() as bar:
            times, _ = stages.measure(
                settings, process.model, first, bar, lambda at: bar(_progress("stages", at, first))
            )
            bar(Progress("server starts"))
            end_to_end, device = asyncio.run(
                loopback.measure(
                    process, settings.pipeline, sent, second, lambda at: bar(_progress("end to end", at, second))
                )
            )
    except PipelineError as error:
        fail(f"{error.message} {error.fix}".rstrip(), Exit.NOT_READY)
    except ConnectionLost as error:
        fail(str(error), Exit.CRASHED)
    except (loopback.ServerFailed, ServerError) as error:
        fail(str(error), Exit.NOT_READY)
    return Figures(
        version=__version__,
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=machine.model_copy(update={"device": device}),
        conditions=Conditions(
            pipeline=settings.pipeline,
            model=process.model,
            prompt=settings.prompt,
            width=settings.width,
            height=settings.height,
            camera=f"{scene.WIDTH}x{scene.HEIGHT} at {scene.FPS}",
            seconds=seconds,
        ),
        stages=times,
        end_to_end=end_to_end,
    )


def _progress(stage: str, at: float, total: float) -> Progress:
    return Progress(stage, min(int(at), int(total)), int(total), "s")


def _machine() -> Machine:
    from webrtc_server.diagnosis.figures import Machine

    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    return Machine(
        system=platform.platform(),
        cpu=_cpu(),
        cores=os.cpu_count() or 1,
        memory_gb=round(memory, 1),
        load=round(os.getloadavg()[0], 1),
        device="",
        libraries={"python": platform.python_version(), **versions},
    )


def _cpu(facts: Path = Path("/proc/cpuinfo")) -> str:
    """Its name, where the kernel tells one."""
    if facts.exists():
        for line in facts.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _print(figures: Figures) -> None:
    conditions, end = figures.conditions, figures.end_to_end
    typer.echo(
        f"{conditions.pipeline} on {figures.machine.device}, {conditions.width}x{conditions.height}, "
        f"camera {conditions.camera}; {figures.machine.cpu}, {figures.machine.cores} cores"
    )
    rows = [(name, *_ms(times)) for name, times in figures.stages.items()]
    rows += [(f"in the server: {name}", *_ms(times)) for name, times in end.server.items()]
    rows.append(("camera to screen", *_ms(end.latency)))
    show(("milliseconds", "half take up to", "95 of 100 up to"), rows)
    if end.latency is None:
        typer.echo("not seen: it takes over a second, or this look keeps no difference of light and dark")
    typer.echo(f"{end.fps} pictures a second painted, {end.received_fps} came back")


def _ms(times: Times | None) -> tuple[str, str]:
    return (f"{times.p50:.1f}", f"{times.p95:.1f}") if times else ("not seen", "not seen")
