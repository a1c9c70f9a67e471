"""A pipeline with models that do what their keys say: `grey-80` paints that grey, `slow-grey-90` takes a while to load,
and the others fail in all the ways a model can.

Its worker is that of `fault_backend.py`. In the server's process the fixture `greys` puts it in the registry.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from pipeline import registry
from pipeline.backend import Progress, Report
from pipeline.catalog import MODEL_VARIABLE, ModelSpec, Source
from pipeline.errors import ApplyFailed, BackendUnavailable, DeviceLost, PipelineError
from pipeline.frame import Frame
from pipeline.settings import Settings

ENTRY = registry.Entry("greys", "Models on command", "tests.fakes.greys:Greys", has_models=True)
KEYS = (
    "grey-80",
    "grey-90",
    "slow-grey-120",  # 80 steps of 25 ms
    "picky-grey-150",  # refuses sessions with the prompt `odd`
    "broken",
    "buggy",
    "unable",  # loads, but cannot paint
    "deadly",  # the process is killed while it loads
    "lost",  # the device is
    "endless",
)
SOURCE = Source(repo="none/none", revision="main")
CATALOGUE = {
    key: ModelSpec(
        key=key,
        title=key.replace("-", " ").title(),
        base=SOURCE,
        vae=SOURCE,
        steps=1,
        cfg_type="none",
        licence="MIT",
        notice=f"{key} may be used by tests.",
    )
    for key in KEYS
}
SLOW_STEPS = 80


class Greys:
    name: ClassVar[str] = "greys"
    title: ClassVar[str] = "Models on command"
    ignores: ClassVar[frozenset[str]] = frozenset({"guidance"})
    rebuilds: ClassVar[frozenset[str]] = frozenset({"steps", "cfg_type"})
    batch_limit: ClassVar[int] = 4
    device = "a grey card"

    def __init__(self, model: str | None = None) -> None:
        wanted = os.environ.get(MODEL_VARIABLE, KEYS[0]) if model is None else model
        self.model = os.path.basename(wanted)
        self._grey = int(self.model.rpartition("-")[2]) if self.model[-1].isdigit() else 0

    def load(self, report: Report) -> None:
        report(Progress("weights", 0, 2, "files"))
        match self.model.split("-")[0]:
            case "slow":
                for file in range(10):
                    report(Progress(f"file {file}"))
                for step in range(SLOW_STEPS):
                    report(Progress("download", step, SLOW_STEPS, "MB"))
                    time.sleep(0.025)
            case "broken":
                raise BackendUnavailable("broken on purpose", "do not ask for it")
            case "buggy":
                raise RuntimeError("on command")
            case "deadly":
                os.kill(os.getpid(), signal.SIGKILL)
            case "lost":
                raise DeviceLost("lost on command")
            case "endless":
                time.sleep(60)
        report(Progress("weights", 2, 2, "files"))

    def new_state(self, settings: Settings) -> Settings:
        if self.model.startswith("picky") and settings.prompt == "odd":
            raise ApplyFailed("too odd for it", "ask for something else")
        return settings

    def apply(self, state: Settings, settings: Settings, changed: frozenset[str]) -> None:
        pass

    def notes(self, state: Settings) -> list[str]:
        return [f"{self.model}: {state.prompt}"]

    def step(self, batch: Sequence[tuple[Settings, Frame]]) -> list[Frame | PipelineError]:
        if self.model == "unable":
            raise RuntimeError("no kernel image")
        return [self._paint(frame) for _, frame in batch]

    def _paint(self, frame: Frame) -> Frame:
        return Frame(np.full_like(frame.data, self._grey), frame.width, frame.height, frame.format)

    def close(self) -> None:
        pass
