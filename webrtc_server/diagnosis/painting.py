"""What will paint, and whether it does: the worker is started as the server starts it, and paints one frame."""

from __future__ import annotations

import asyncio
import time

from pipeline import catalog, registry
from pipeline.catalog import ModelSpec
from pipeline.errors import BackendUnavailable
from pipeline.registry import AUTO, choose
from pipeline.worker.supervisor import WORKER_MODULE, Supervisor, WorkerState
from webrtc_server.config import Config
from webrtc_server.diagnosis.finding import Finding, ok, problem, warning
from webrtc_server.web.app import worker_environment

START_TIMEOUT = 120.0  # seconds; a GPU's first start takes most of one minute, a download is not waited for


def pipeline(config: Config) -> list[Finding]:
    """Which one the server would start with, and why."""
    try:
        choice = choose(config.pipeline)
    except LookupError as error:
        return [problem(str(error.args[0]), f"Set LIVE_DIFFUSION_PIPELINE to {AUTO}, or install what it needs.")]
    text = f"pipeline {choice.name}: {registry.ENTRIES[choice.name].title}, {choice.reason}"
    reasons = [f"{name}: {why}" for name, entry in registry.ENTRIES.items() if (why := entry.missing())]
    return [ok(text), *(ok(f"cannot run here: {reason}") for reason in reasons)]


def worker(config: Config, module: str = WORKER_MODULE) -> list[Finding]:
    """Start the chosen pipeline in a real worker, `module`, and wait for its first frame. Fetches no model."""
    try:
        name = choose(config.pipeline).name
    except LookupError:
        return [ok("not tried: there is no pipeline to try")]
    if registry.ENTRIES[name].has_models and not _is_here(config):
        return [ok("not tried: the model is not here yet")]
    begun = time.monotonic()
    state = asyncio.run(_started(name, config, module))
    if state.is_up:
        took = time.monotonic() - begun
        return [ok(f"{name} painted a frame on {state.devices[name]}, {took:.1f} s after its process was started")]
    said = {"loading": f"{name} painted nothing in {START_TIMEOUT:.0f} s", "failed": state.message}
    text = said.get(state.phase, f"the picture process ended while it started {name}")
    fix = state.fix or "The messages above say why; --pipeline effects runs everywhere."
    # With `auto` the server takes the next best; who asked for this one gets something else.
    return [(warning if config.pipeline == AUTO else problem)(text, fix)]


async def _started(name: str, config: Config, module: str) -> WorkerState:
    """How the worker is once it painted, gave up or ended, or after START_TIMEOUT."""
    supervisor = Supervisor([name], module, worker_environment(config))
    settled = asyncio.Event()
    states: list[WorkerState] = []

    def heard(state: WorkerState) -> None:
        states.append(state)
        if state.phase != "loading":
            settled.set()

    supervisor.subscribe(heard)
    supervisor.start()
    try:
        async with asyncio.timeout(START_TIMEOUT):
            await settled.wait()
    except TimeoutError:
        return supervisor.state
    finally:
        await supervisor.close()
    return next(state for state in states if state.phase != "loading")


def _is_here(config: Config) -> bool:
    from webrtc_server.diagnosis.model_cache import is_here  # it imports the hub's client

    try:
        found = catalog.find(config.model)
    except BackendUnavailable:
        return False
    return is_here(config, found) if isinstance(found, ModelSpec) else True
