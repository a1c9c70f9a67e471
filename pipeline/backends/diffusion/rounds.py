"""One round: a frame of each session in a batch, from its bytes to the answer. Begun at once, waited for later.

Whatever goes wrong with one frame is the answer to that frame alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from torch import Tensor
from torch.cuda import OutOfMemoryError

from pipeline.backends.diffusion.batch import Batches, Networks, Outcome
from pipeline.backends.diffusion.device import raise_if_lost
from pipeline.backends.diffusion.state import Session, Turn
from pipeline.backends.diffusion.transfer import Answers, Shown, make_transfer
from pipeline.errors import BadFrame, OutOfMemory, PipelineError
from pipeline.frame import Frame

logger = logging.getLogger(__name__)

Answer = Frame | PipelineError


@dataclass(eq=False)
class _Work:
    """A frame on its way. Once `answer` is there, nothing more is done."""

    session: Session
    frame: Frame
    turn: Turn = field(default_factory=lambda: Turn([], []))
    pictures: Sequence[Tensor] = ()
    outcomes: Sequence[Outcome] = ()
    shown: Shown | None = None
    answer: Answer | None = None

    def begin(self) -> None:
        self.turn = self.session.begin(self.frame)
        self.answer = self.turn.answer

    def finish(self) -> None:
        self.shown = self.session.finish(self.turn, self.pictures[0], self.outcomes, self.frame.format)

    def attempt(self, part: Callable[[], None]) -> None:
        """Another session's frame must not suffer for what this one's does."""
        try:
            part()
        except Exception as error:
            self.fail(_understood(error))

    def fail(self, error: PipelineError, spoilt: bool = False) -> None:
        self.session.failed(spoilt)
        self.answer = error


class Rounds:
    """Used by one thread. Two rounds may be under way at a time, with no session in both."""

    def __init__(self, networks: Networks) -> None:
        self._device = networks.device
        self._batches = Batches(networks)
        self._transfer = make_transfer(networks.device)

    def start(self, batch: Sequence[tuple[Session, Frame]]) -> Callable[[], list[Answer]]:
        """What this answers waits for the answers, in order. Both raise DeviceLost."""
        works = [_Work(session, frame) for session, frame in batch]
        try:
            with self._device.lane("compute"):
                arriving = self._begin(works)
        except OutOfMemoryError as error:  # not even for the pictures
            self._device.free_cache()
            for work in works:
                work.fail(_understood(error))
            arriving = list
        return lambda: self._answers(works, arriving)

    def _begin(self, works: Sequence[_Work]) -> Answers:
        for work in works:
            work.attempt(work.begin)
        painting = [work for work in works if work.answer is None]
        pictures = iter(self._transfer.upload([fit for work in painting for fit in work.turn.fits]))
        for work in painting:
            work.pictures = [next(pictures) for _ in work.turn.fits]
        outcomes = iter(self._batches.run([one for work in painting for one in work.turn.passes(work.pictures)]))
        for work in painting:
            work.outcomes = [next(outcomes) for _ in work.turn.streams]
            work.attempt(work.finish)
        return self._transfer.download([work.shown for work in works if work.shown])

    def _answers(self, works: Sequence[_Work], arriving: Answers) -> list[Answer]:
        try:
            arrived = arriving()
        except RuntimeError as error:
            raise_if_lost(self._device, error)
            raise
        for work, frame in zip((work for work in works if work.shown), arrived, strict=True):
            if frame is None:
                work.fail(BadFrame("The model gave values that are no numbers.", "Go on with the next frame."), True)
            else:
                work.session.answered(frame)
                work.answer = frame
        return [work.answer for work in works if work.answer is not None]


def _understood(error: Exception) -> PipelineError:
    if isinstance(error, OutOfMemoryError):
        logger.error("no memory for a frame: %s", error)
        return OutOfMemory("The GPU has no memory for this frame.", "Choose a smaller size or fewer steps.")
    logger.error("a frame could not be painted: %s", error, exc_info=error)
    return BadFrame("This frame could not be painted.", "Go on with the next one.")
