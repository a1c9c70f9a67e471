"""A back end that does what its prompt says, or paints a negative. As a program it is the worker process of tests.

| Prompt        | What happens at each frame                                                                  |
| ------------- | ------------------------------------------------------------------------------------------- |
| `ok 20`       | a negative, after that many milliseconds                                                    |
| `slow 0.1`    | the frame as it was, after that many seconds                                                |
| `raise`       | an exception                                                                                |
| `oom`         | OutOfMemory                                                                                 |
| `lost`        | DeviceLost: the process ends, in order                                                      |
| `poison`      | an exception, and from then on for every frame of every session                             |
| `nan`         | a picture that cannot be handed over                                                        |
| `exit 3`      | the process ends at once, with that code; `crash` is `exit 70`                              |
| `hang`        | the painting thread never comes back                                                        |
| `freeze`      | the same with the GIL held, so the whole process stands still                               |
| `kill`        | the process gets SIGKILL                                                                    |

`after 5` before one of them: not for the first 5 frames of a state; `large` before one: only at a width of 512 or more.
When settings are put into force: `reject` is refused, `exit-apply` ends the process, `hang-apply` hangs.
LOAD_VARIABLE says what loading does: `slow 3` takes seconds, `fail`, `hang`, `freeze 2` holds the GIL, `exit 3`.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline import registry
from pipeline.backend import Progress, Report
from pipeline.errors import ApplyFailed, BackendUnavailable, DeviceLost, OutOfMemory, PipelineError
from pipeline.frame import Frame
from pipeline.settings import Settings
from pipeline.worker import child
from tests.fakes import greys

ENTRY = registry.Entry("fault", "Faults on command", "tests.fakes.fault_backend:FaultBackend")
SLOW = registry.Entry("slow-to-load", "Takes a minute", "tests.fakes.fault_backend:SlowBackend")
UNABLE = registry.Entry("unable", "Cannot paint", "tests.fakes.fault_backend:UnableBackend")
BROKEN = registry.Entry("broken", "Cannot be loaded", "tests.fakes.fault_backend:BrokenBackend")


LOAD_VARIABLE = "LIVE_DIFFUSION_TEST_LOAD"
AGES = 3600  # seconds
_libc = ctypes.PyDLL(None)  # unlike CDLL it keeps the GIL


@dataclass
class State:
    prompt: str
    width: int = 512
    frames: int = 0


class FaultBackend:
    name: ClassVar[str] = "fault"
    title: ClassVar[str] = "Faults on command"
    ignores: ClassVar[frozenset[str]] = frozenset({"steps"})
    rebuilds: ClassVar[frozenset[str]] = frozenset({"width", "height"})
    batch_limit: ClassVar[int] = 1
    device = "cpu"
    model: str | None = None

    _poisoned = False

    def load(self, report: Report) -> None:
        match os.environ.get(LOAD_VARIABLE, "").split():
            case ["slow", seconds]:
                report(Progress("sleep", 0, int(float(seconds)), "seconds"))
                time.sleep(float(seconds))
            case ["fail"]:
                raise BackendUnavailable("cannot be loaded from /srv/models/fault.bin, on command")
            case ["hang"]:
                time.sleep(AGES)
            case ["freeze", seconds]:
                _libc.sleep(int(seconds))
            case ["exit", code]:
                os._exit(int(code))

    def new_state(self, settings: Settings) -> State:
        self._put_in_force(settings)
        return State("" if settings.prompt == Settings().prompt else settings.prompt, settings.width)

    def apply(self, state: State, settings: Settings, changed: frozenset[str]) -> None:
        if settings.prompt == "reject":
            raise ApplyFailed("rejected on command", "do not ask for it")
        self._put_in_force(settings)
        state.prompt, state.width = settings.prompt, settings.width

    @staticmethod
    def _put_in_force(settings: Settings) -> None:
        match settings.prompt:
            case "exit-apply":
                os._exit(70)
            case "hang-apply":
                time.sleep(AGES)

    def notes(self, state: State) -> list[str]:
        return [f"prompt is {state.prompt}"]

    def step(self, batch: Sequence[tuple[State, Frame]]) -> list[Frame | PipelineError]:
        return [self._paint(state, frame) for state, frame in batch]

    def _paint(self, state: State, frame: Frame) -> Frame:
        state.frames += 1
        words = state.prompt.split()
        if words[:1] == ["after"]:
            words = words[2:] if state.frames > int(words[1]) else []
        elif words[:1] == ["large"]:
            words = words[1:] if state.width >= 512 else []
        if self._poisoned:
            raise RuntimeError("poisoned before")
        match words:
            case ["slow", seconds]:
                time.sleep(float(seconds))
                return frame
            case ["ok", milliseconds]:
                time.sleep(float(milliseconds) / 1000)
            case ["raise"]:
                raise ZeroDivisionError("on command")
            case ["poison"]:
                self._poisoned = True
                raise RuntimeError("poisoned on command")
            case ["crash"]:
                os._exit(70)
            case ["exit", code]:
                os._exit(int(code))
            case ["kill"]:
                os.kill(os.getpid(), signal.SIGKILL)
            case ["hang"]:
                time.sleep(AGES)
            case ["freeze"]:
                _libc.sleep(AGES)
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
