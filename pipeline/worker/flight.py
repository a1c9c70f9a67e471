"""A batch of frames on its way through a back end: begun when it is made, answered when it lands.

A back end with `start` works on between the two, while the painting thread does something else; one that only has
`step` has painted when the flight is made. Whatever goes wrong, each frame is answered and each slot comes back.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

import numpy as np

from pipeline.backend import Starts
from pipeline.errors import PipelineError, StillLoading
from pipeline.frame import Frame
from pipeline.worker.messages import Done, Submit
from pipeline.worker.paint_session import PaintSession

logger = logging.getLogger(__name__)

Outcome = Frame | PipelineError


class Flight:
    """`under_way`: `land` has to wait for it. Neither raises, for it is others' code that fails.

    `fresh`: it may take long, for a session in it that was never painted yet. `alone`: nobody else's frames may be
    under way with it.
    """

    def __init__(self, batch: Sequence[tuple[PaintSession, Submit]]) -> None:
        """`batch` is of sessions of one back end, each of them once."""
        self.under_way = False
        self._started = time.monotonic()
        frames = [(session, message, _frame(session, message)) for session, message in batch]
        self._frames = [(session, message, frame) for session, message, frame in frames if frame]
        self._tried = False  # a back end was asked
        self.fresh = any(session.fresh for session, _, _ in self._frames)
        self.alone = any(session.alone for session, _, _ in self._frames)
        self._results: Callable[[], Sequence[Outcome]] = self._begun() if self._frames else list

    def __contains__(self, session: PaintSession) -> bool:
        return any(session is one for one, _, _ in self._frames)

    def _begun(self) -> Callable[[], Sequence[Outcome]]:
        first = self._frames[0][0]
        backend = first.backend
        if backend is None:
            return self._all_failed(first.refused[1] if first.refused else StillLoading("the pipeline is being loaded"))
        entries = [(session.state, frame) for session, _, frame in self._frames]
        self._tried = True
        for session, _, _ in self._frames:
            session.memory.mark(True)
        try:
            if isinstance(backend, Starts):
                results = backend.start(entries)
                self.under_way = backend.works_aside
                return results
            painted = backend.step(entries)
        except Exception as error:
            return self._all_failed(error)
        return lambda: painted

    def land(self) -> list[PipelineError | None]:
        """Answer every frame, once the back end has. What it said to each; nothing if none was asked."""
        try:
            outcomes = self._results()
            if len(outcomes) != len(self._frames):
                raise ValueError(f"{len(outcomes)} answers to {len(self._frames)} frames")
        except Exception as error:
            outcomes = self._all_failed(error)()
        errors = []
        for (session, message, frame), outcome in zip(self._frames, outcomes, strict=True):
            errors.append(self._answer(session, message, frame, outcome))
            session.failing = errors[-1] is not None
            if self._tried and errors[-1] is None:
                session.fresh, session.alone = False, max(0, session.alone - 1)
        return errors if self._tried else []

    def _all_failed(self, error: Exception) -> Callable[[], Sequence[Outcome]]:
        """These frames fail, nothing else."""
        if isinstance(error, PipelineError):
            failure = error
        else:
            name = backend.name if (backend := self._frames[0][0].backend) else "the pipeline"
            if not all(session.failing for session, _, _ in self._frames):  # once until it paints again
                logger.error("%s failed on a frame", name, exc_info=error)
            failure = PipelineError(f"{name} failed on this frame: {type(error).__name__}")
        return lambda: [failure] * len(self._frames)

    def _answer(self, session: PaintSession, message: Submit, frame: Frame, outcome: Outcome) -> PipelineError | None:
        """With the painted picture in the frame's slot, or with the frame itself and what went wrong, which is said."""
        if isinstance(outcome, PipelineError):
            session.answer(self._done(session, message, frame, outcome))
            return outcome
        try:
            if outcome is not frame:
                picture = outcome.convert(frame.format)
                target = session.memory.frame(message.slot, picture.width, picture.height, frame.format)
                np.copyto(target.data, picture.data)
            if self._tried:  # before the answer: with that the frame is over
                session.memory.mark(session.parked is not None)
            session.answer(self._done(session, message, outcome, None))
        except Exception:
            if session.gone:
                return None
            logger.exception("a picture could not be answered")
            failure = PipelineError("the painted picture could not be handed over")
            session.answer(self._done(session, message, frame, failure))
            return failure
        return None

    def _done(self, session: PaintSession, message: Submit, picture: Frame, error: PipelineError | None) -> Done:
        return Done(
            message.sequence,
            message.slot,
            picture.width,
            picture.height,
            session.version,
            self._started,
            time.monotonic(),
            session.backend.name if session.backend else "",
            error.public if error else None,
            error.code if error else "internal",
        )


def _frame(session: PaintSession, message: Submit) -> Frame | None:
    """The picture in its slot, or None if the session has left."""
    try:
        return session.memory.frame(message.slot, message.width, message.height, message.format)
    except ValueError:
        if not session.gone:
            logger.exception("a picture was announced that cannot be")
        return None
