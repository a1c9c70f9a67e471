"""A back end that does what its prompt says: `slow 0.1`, `raise`, `crash`, `reject`, `oom`, `lost`, `nan`, or nothing.

Paints a negative. As a program it is the worker process of tests.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline import registry
from pipeline.backend import Progress, Report
from pipeline.errors import ApplyFailed, DeviceLost, OutOfMemory, PipelineError
from pipeline.frame import Frame
from pipeline.settings import Settings
from pipeline.worker import child
from tests.fakes import greys

ENTRY = registry.Entry("fault", "Faults on command", "tests.fakes.fault_backend:FaultBackend")
SLOW = registry.Entry("slow-to-load", "Takes a minute", "tests.fakes.fault_backend:SlowBackend")
UNABLE = registry.Entry("unable", "Cannot paint", "tests.fakes.fault_backend:UnableBackend")
BROKEN = registry.Entry("broken", "Cannot be loaded", "tests.fakes.fault_backend:BrokenBackend")


@dataclass
class State:
    prompt: str


class FaultBackend:
    name: ClassVar[str] = "fault"
    title: ClassVar[str] = "Faults on command"
    ignores: ClassVar[frozenset[str]] = frozenset({"steps"})
    rebuilds: ClassVar[frozenset[str]] = frozenset({"width", "height"})
    batch_limit: ClassVar[int] = 1
    device = "cpu"
    model: str | None = None

    def load(self, report: Report) -> None:
        pass

    def new_state(self, settings: Settings) -> State:
        return State("" if settings.prompt == Settings().prompt else settings.prompt)

    def apply(self, state: State, settings: Settings, changed: frozenset[str]) -> None:
        if settings.prompt == "reject":
            raise ApplyFailed("rejected on command", "do not ask for it")
        state.prompt = settings.prompt

    def notes(self, state: State) -> list[str]:
        return [f"prompt is {state.prompt}"]

    def step(self, batch: Sequence[tuple[State, Frame]]) -> list[Frame | PipelineError]:
        return [self._paint(state, frame) for state, frame in batch]

    def _paint(self, state: State, frame: Frame) -> Frame:
        match state.prompt.split():
            case ["slow", seconds]:
                time.sleep(float(seconds))
                return frame
            case ["raise"]:
                raise ZeroDivisionError("on command")
            case ["crash"]:
                os._exit(70)
            case ["oom"]:
                raise OutOfMemory("no room left, on command")
            case ["lost"]:
                raise DeviceLost("the card has fallen off the bus, on command")
            case ["nan"]:
                return Frame(np.full(frame.data.shape, np.nan), frame.width, frame.height, frame.format)
        return Frame(255 - frame.data, frame.width, frame.height, frame.format)

    def close(self) -> None:
        pass


class BrokenBackend(FaultBackend):
    name: ClassVar[str] = "broken"

    def load(self, report: Report) -> None:
        raise RuntimeError("broken on purpose")


class UnableBackend(FaultBackend):
    name: ClassVar[str] = "unable"

    def step(self, batch: Sequence[tuple[State, Frame]]) -> list[Frame | PipelineError]:
        raise RuntimeError("no kernel image")


class SlowBackend(FaultBackend):
    name: ClassVar[str] = "slow-to-load"

    def load(self, report: Report) -> None:
        report(Progress("sleep", 0, 60, "seconds"))
        time.sleep(60)


def add_entries() -> None:
    """Make the faults available in this process."""
    registry.ENTRIES |= {entry.name: entry for entry in (ENTRY, UNABLE, BROKEN, SLOW, greys.ENTRY)}


if __name__ == "__main__":  # the worker process of tests: as the real one, with the faults beside the pipelines
    add_entries()
    child.main()
