"""The painting loop: the only thread that touches a model.

Each round puts waiting settings into force, then paints the newest frame of the session whose turn it is, together
with those of others if their pipeline paints several at once. Sessions are added, changed and removed from the I/O
thread through the methods of `Painter`, which never wait for a model.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.backend import Backend
from pipeline.errors import ApplyFailed, DeviceLost, PipelineError, StillLoading
from pipeline.frame import Frame
from pipeline.policy.scheduler import next_batch
from pipeline.settings import Settings, differences
from pipeline.worker.memory import FrameMemory
from pipeline.worker.messages import Applied, Apply, Done, Dropped, FromWorker, Open, Rejected, Submit
from pipeline.worker.shelf import Shelf

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class PaintSession:
    """What the worker keeps of one session. `answer` may be called from any thread."""

    memory: FrameMemory
    answer: Callable[[FromWorker], None]
    backend: Backend[Any] | None = None
    state: Any = None
    settings: Settings | None = None
    version: int = 0
    waiting: Submit | None = None
    parked: Apply | Open | None = None  # settings that wait for their pipeline to be loaded
    refused: tuple[Apply | Open, PipelineError] | None = None  # settings that a back end cannot paint with, and why
    turn: int = 0  # rises with each frame painted, of whichever session: when it was last served
    operations: deque[Apply | Open] = field(default_factory=deque)


@dataclass(frozen=True, eq=False)
class Successor:
    """A back end with `model` that is ready to take over. `in_place` is called when it has, in the painting thread."""

    backend: Backend[Any]
    model: str
    in_place: Callable[[], object]


class Painter:
    """Owns the thread that paints. `close` is bounded: the thread is a daemon and is left behind if a model hangs.

    `lost` is called, as the thread's last act, when a back end says that its device is lost.
    """

    def __init__(self, shelf: Shelf, lost: Callable[[], object] = lambda: None) -> None:
        self._shelf = shelf
        self._lost = lost
        self._sessions: set[PaintSession] = set()
        self._changed = threading.Condition()
        self._closing = False
        self._loads_ended = False
        self._successor: Successor | None = None
        self._turn = 0
        self._thread = threading.Thread(target=self._run, name="paint", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def add(self, session: PaintSession, first: Open) -> None:
        with self._changed:
            session.operations.append(first)
            self._sessions.add(session)
            self._changed.notify()

    def apply(self, session: PaintSession, message: Apply) -> None:
        with self._changed:
            session.operations.append(message)
            self._changed.notify()

    def submit(self, session: PaintSession, message: Submit) -> None:
        with self._changed:
            replaced, session.waiting = session.waiting, message
            self._changed.notify()
        if replaced:
            session.answer(Dropped(replaced.sequence, replaced.slot))

    def remove(self, session: PaintSession) -> None:
        """The session is forgotten; a frame of it that is being painted is finished, and answered into the void."""
        with self._changed:
            self._sessions.discard(session)

    def replace(self, successor: Successor) -> None:
        """Between two frames, a back end takes the place of the one of its name. One at a time."""
        with self._changed:
            self._successor = successor
            self._changed.notify()

    def close(self, timeout: float) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread.is_alive():  # it is not yet, while the first pipeline is being loaded
            self._thread.join(timeout)

    def _load_ended(self) -> None:
        with self._changed:
            self._loads_ended = True
            self._changed.notify()

    def _run(self) -> None:
        try:
            self._paint_for_ever()
        except DeviceLost as error:
            logger.critical("the device is lost, this process ends: %s", error.message)
            self._lost()

    def _paint_for_ever(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._has_work)
                if self._closing:
                    return
                successor, self._successor = self._successor, None
                operations: list[tuple[PaintSession, Apply | Open]] = []
                if self._loads_ended:
                    self._loads_ended = False
                    operations += [(one, one.parked) for one in self._sessions if one.parked]
                operations += [(one, one.operations.popleft()) for one in self._sessions if one.operations]
                batch = [] if operations or successor else self._take_batch()
            if successor:
                self._take_over(successor)
            for session, message in operations:
                self._put_in_force(session, message)
            if batch:
                self._paint(batch)

    def _take_batch(self) -> list[tuple[PaintSession, Submit]]:
        """Called with the lock held."""
        turns = {session: session.turn for session in self._sessions if session.waiting}
        batch = []
        for session in next_batch(turns, _painter):
            assert session.waiting
            batch.append((session, session.waiting))
            self._turn += 1  # another for each: among equals the same one would be chosen each time
            session.waiting, session.turn = None, self._turn
        return batch

    def _has_work(self) -> bool:
        waiting = any(session.waiting or session.operations for session in self._sessions)
        return self._closing or self._loads_ended or self._successor is not None or waiting

    def _put_in_force(self, session: PaintSession, message: Apply | Open) -> None:
        session.parked = None
        try:
            backend = self._shelf.get(message.settings.pipeline, self._load_ended)
        except PipelineError as error:
            self._refuse(session, message, error)
            return
        if backend is None:
            session.parked = message
        else:
            self._use(backend, session, message)

    def _take_over(self, successor: Successor) -> None:
        """Its predecessor's sessions begin anew with it, and those that no back end of that name could paint."""
        backend = successor.backend
        old = self._shelf.put(backend, successor.model)
        with self._changed:
            sessions = list(self._sessions)
        for session in sessions:
            if session.backend is old and old is not None and session.settings is not None:
                message: Apply | Open = Apply(session.version, session.settings)
            elif session.refused and session.refused[0].settings.pipeline == backend.name:
                message = session.refused[0]
            else:
                continue
            session.backend = session.state = None
            self._use(backend, session, message)
        if old is not None:
            self._shelf.discard(old)
        successor.in_place()

    def _use(self, backend: Backend[Any], session: PaintSession, message: Apply | Open) -> None:
        """Paint the session with `backend` and these settings, or go on as before. Raises DeviceLost."""
        notes, rebuilding = [], []
        try:
            if backend is session.backend and session.settings is not None:
                changed = differences(session.settings, message.settings)
                backend.apply(session.state, message.settings, frozenset(changed))
                notes += _without_effect(backend, frozenset(changed))
                rebuilding += [name for name in changed if name in backend.rebuilds]
                state = session.state
            else:
                state = backend.new_state(message.settings)
            notes += backend.notes(state)
        except DeviceLost:
            raise  # unanswered: the next worker is given the settings
        except PipelineError as error:
            self._refuse(session, message, error)
            return
        except Exception:  # a back end is foreign code, and one session's settings must not end all sessions
            logger.exception("%s could not apply settings", message.settings.pipeline)
            self._refuse(session, message, ApplyFailed("the pipeline failed to apply the settings"))
            return
        session.backend, session.state, session.refused = backend, state, None
        session.settings, session.version = message.settings, message.version
        session.answer(Applied(message.version, notes, rebuilding))

    @staticmethod
    def _refuse(session: PaintSession, message: Apply | Open, error: PipelineError) -> None:
        if session.backend is None:  # nothing else paints it
            session.refused = message, error
        session.answer(Rejected(message.version, error.code, error.message, error.fix))

    def _paint(self, batch: Sequence[tuple[PaintSession, Submit]]) -> None:
        """Frames of sessions of one back end, each answered whatever becomes of the others. Raises DeviceLost."""
        started = time.monotonic()
        asked = [(session, message, self._frame(session, message)) for session, message in batch]
        there = [(session, message, frame) for session, message, frame in asked if frame]
        if not there:
            return
        results = self._step([session for session, _, _ in there], [frame for _, _, frame in there])
        for (session, message, frame), (result, error) in zip(there, results, strict=True):
            try:
                if result is not frame:
                    answer = result.convert(frame.format)
                    target = session.memory.frame(message.slot, answer.width, answer.height, frame.format)
                    np.copyto(target.data, answer.data)
                session.answer(_done(session, message, result, started, error))
            except Exception:
                if session in self._sessions:  # else it left while it was painted, and took its memory along
                    logger.exception("a picture could not be answered")
                    failure = PipelineError("the painted picture could not be handed over")
                    session.answer(_done(session, message, frame, started, failure))
        for _, error in results:
            if isinstance(error, DeviceLost):
                raise error

    def _frame(self, session: PaintSession, message: Submit) -> Frame | None:
        """The picture in its slot, or None if the session has left, and has taken its memory along."""
        try:
            return session.memory.frame(message.slot, message.width, message.height, message.format)
        except ValueError:
            if session in self._sessions:
                logger.exception("a picture was announced that cannot be")
            return None

    @staticmethod
    def _step(sessions: Sequence[PaintSession], frames: Sequence[Frame]) -> list[tuple[Frame, PipelineError | None]]:
        """For each session, all of one back end: the painted frame, or the frame itself and what went wrong."""
        backend = sessions[0].backend
        if backend is None:
            [session], [frame] = sessions, frames
            return [(frame, session.refused[1] if session.refused else StillLoading("the pipeline is being loaded"))]
        try:
            results = backend.step([(session.state, frame) for session, frame in zip(sessions, frames, strict=True)])
        except PipelineError as error:
            return [(frame, error) for frame in frames]
        except Exception as error:  # foreign code again: these frames fail, nothing else
            logger.exception("%s failed on a frame", backend.name)
            failure = PipelineError(f"{backend.name} failed on this frame: {type(error).__name__}")
            return [(frame, failure) for frame in frames]
        return [
            (frame, result) if isinstance(result, PipelineError) else (result, None)
            for frame, result in zip(frames, results, strict=True)
        ]


def _done(session: PaintSession, message: Submit, picture: Frame, started: float, error: PipelineError | None) -> Done:
    return Done(
        message.sequence,
        message.slot,
        picture.width,
        picture.height,
        session.version,
        started,
        time.monotonic(),
        session.backend.name if session.backend else "",
        error.message if error else None,
        error.code if error else "internal",
    )


def _painter(session: PaintSession) -> tuple[Backend[Any] | None, int]:
    """See `next_batch`."""
    return session.backend, session.backend.batch_limit if session.backend else 1


def _without_effect(backend: Backend[Any], changed: frozenset[str]) -> list[str]:
    """A sentence that names those of the changed settings that this back end ignores; none if it heeds them all."""
    ignored = sorted(changed & backend.ignores)
    return [f"no effect with {backend.title}: {', '.join(ignored)}"] if ignored else []
