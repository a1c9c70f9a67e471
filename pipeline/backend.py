"""The contract of a pipeline back end. Copy `backends/identity.py` to start a new one.

One object per worker, shared by all sessions; what belongs to one session lives in its state object, so pictures
and settings of two sessions cannot mix. All methods are called from one thread, except `load` and a first frame to
prove it, before it is used, and `close`, after.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeVar, runtime_checkable

from pipeline.errors import PipelineError
from pipeline.frame import Frame
from pipeline.settings import Settings


@dataclass(frozen=True)
class Progress:
    """How far a load is: `done` of `total` `unit`s of `stage` (`total` 0: not known)."""

    stage: str
    done: int = 0
    total: int = 0
    unit: str = ""


Report = Callable[[Progress], None]
State = TypeVar("State")


class Backend(Protocol[State]):
    """A pipeline: what it is called, which settings it ignores, and how it paints."""

    name: ClassVar[str]
    title: ClassVar[str]
    ignores: ClassVar[frozenset[str]]  # names of settings without effect here
    rebuilds: ClassVar[frozenset[str]]  # names of settings that show only after it has made itself ready anew
    batch_limit: ClassVar[int]  # the most sessions' frames in one `step`; 1 where painting together gains nothing

    @property
    def device(self) -> str:
        """What it paints on, in words for the user ("cpu", "NVIDIA H100"). Once it is loaded."""

    @property
    def model(self) -> str | None:
        """The key or name of the model it is loaded with; None for a pipeline without models to choose from."""

    def load(self, report: Report) -> None:
        """Make ready to paint; called once. Raises BackendUnavailable."""

    def new_state(self, settings: Settings) -> State:
        """What one session needs. Raises ApplyFailed."""

    def apply(self, state: State, settings: Settings, changed: frozenset[str]) -> None:
        """Put `settings` into force with the next frame. Raises ApplyFailed, and then changes nothing."""

    def notes(self, state: State) -> list[str]:
        """How the settings in force were understood, in words for the user (a style mix, say)."""

    def step(self, batch: Sequence[tuple[State, Frame]]) -> list[Frame | PipelineError]:
        """One answer per entry, in order; an error is that session's alone. No state is in a batch twice.

        The frames given may be shared memory that is written again after the call: an answer is the very frame that
        was given, or stands in memory of its own.
        """

    def close(self) -> None:
        """Free everything. Called once; nothing is called after it."""


Contra = TypeVar("Contra", contravariant=True)


@runtime_checkable
class Starts(Protocol[Contra]):
    """What a back end may offer beside `step`, if a device does its work: to go on with something else meanwhile."""

    @property
    def works_aside(self) -> bool:
        """Whether the device goes on by itself. If not, everything is done when `start` returns, and who waits for
        the next batch's `start` before it takes the answers holds them up."""

    def start(self, batch: Sequence[tuple[Contra, Frame]]) -> Callable[[], list[Frame | PipelineError]]:
        """Begin as `step` would, and return what waits for the answers; that is called once, from the same thread.

        Another batch of other sessions may be started before, and one more not. Nothing else is asked of a state that
        is under way, and the frames given stay as they are until then.
        """
