"""The tests of this folder need the diffusion libraries, and one thread of theirs: two on a busy machine crawl."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.registry import ENTRIES
from tests.fakes.hub import Hub

if TYPE_CHECKING:
    from pipeline.backends.diffusion import Diffusion
    from pipeline.backends.diffusion.loader import Model

MISSING = ENTRIES["diffusion"].missing()


class Unavailable(pytest.Module):
    """A test file that cannot even be imported here."""

    def collect(self) -> list[pytest.Item | pytest.Collector]:
        pytest.skip(str(MISSING), allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    return Unavailable.from_parent(parent, path=module_path) if MISSING else None


@pytest.fixture(scope="session")
def model(tiny_sd: Path) -> Model:
    """The tiny model, loaded. Its weights are not to be changed."""
    from pipeline.backends.diffusion.loader import load_model

    return load_model(tiny_sd, lambda progress: None, threads=1)


@pytest.fixture
def backend(tiny_sd: Path) -> Iterator[Diffusion]:
    """The back end over the tiny model, whose prompts are encoded when they are set."""
    from pipeline.backends.diffusion import Diffusion
    from tests.pipeline.diffusion.tiny_model import AtOnce

    backend = Diffusion(str(tiny_sd), threads=1, executor=AtOnce())
    backend.load(lambda progress: None)
    yield backend
    backend.close()


@pytest.fixture(scope="session")
def full_model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """The same with a full VAE, whose encoder gives a distribution."""
    from pipeline.backends.diffusion.loader import load_model
    from tests.pipeline.diffusion import tiny_model

    folder = tiny_model.build(tmp_path_factory.mktemp("full-vae"), vae="full")
    return load_model(folder, lambda progress: None, threads=1)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """An empty model hub, and the one that is asked; what is fetched goes to `tmp_path / "models"`."""
    from pipeline import hub as fetching

    with Hub() as hub:
        for name, value in {
            "HF_ENDPOINT": hub.address,
            "LIVE_DIFFUSION_MODEL_DIR": str(tmp_path / "models"),
            "NO_PROXY": "127.0.0.1",
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(fetching, "CHUNK", 4096)
        monkeypatch.setattr(fetching, "PAUSE", 0.01)
        monkeypatch.setattr(fetching, "REPORT_INTERVAL", 0.01)
        yield hub
