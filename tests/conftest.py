"""Every test is watched (`watch.py`); tests that need a server get one in their own process, on loopback."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import hypothesis
import pytest

from pipeline import catalog, registry
from tests.fakes import fault_backend, greys
from tests.fakes.server import RunningServer
from tests.pipeline.diffusion import tiny_model
from webrtc_server.config import Config

pytest_plugins = ("pytester", "tests.watch")

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # for tests that import onnxruntime by themselves

# A machine may be busy: how long an example takes says nothing about the code.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


@pytest.fixture(scope="session")
def tiny_sd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny diffusion model; skips where the diffusion libraries are not installed."""
    if reason := registry.ENTRIES["diffusion"].missing():
        pytest.skip(reason)
    return tiny_model.build(tmp_path_factory.mktemp("tiny-sd"))


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pipelines `fault` and `broken` exist."""
    entries = {entry.name: entry for entry in (fault_backend.ENTRY, fault_backend.BROKEN)}
    monkeypatch.setattr(registry, "ENTRIES", registry.ENTRIES | entries)


@pytest.fixture
def models_on_command(faults: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one pipeline with models is `greys`, and the catalogue is its own."""
    others = {name: entry for name, entry in registry.ENTRIES.items() if not entry.has_models}
    monkeypatch.setattr(registry, "ENTRIES", {greys.ENTRY.name: greys.ENTRY} | others)
    monkeypatch.setattr(catalog, "models", lambda: greys.CATALOGUE)


StartServer = Callable[..., Awaitable[RunningServer]]


@pytest.fixture
async def start_server(faults: None) -> AsyncIterator[StartServer]:
    """Start servers: `await start_server("identity", max_sessions=2)`."""
    servers: list[RunningServer] = []

    async def start(pipeline: str = "identity", phase: str = "ready", **config: object) -> RunningServer:
        server = RunningServer(Config(port=0, **config), pipeline)  # type: ignore[arg-type]
        servers.append(server)
        await server.start(phase)
        return server

    yield start
    for server in servers:
        await server.close()
