"""The painting loop: the only thread that touches a model.

Each round puts waiting settings into force, then paints the newest frame of the session whose turn it is. Sessions
are added, changed and removed from the I/O thread through the methods of `Painter`, which never wait for a model.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.backend import Backend
from pipeline.errors import PipelineError, StillLoading
from pipeline.frame import Frame
from pipeline.policy.scheduler import next_turn
from pipeline.settings import Settings
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
    turn: int = 0  # number of the round in which it was last served
    operations: deque[Apply | Open] = field(default_factory=deque)


class Painter:
    """Owns the thread that paints. `close` is bounded: the thread is a daemon and is left behind if a model hangs."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._sessions: set[PaintSession] = set()
        self._changed = threading.Condition()
        self._closing = False
        self._loads_ended = False
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
        while True:
            with self._changed:
                self._changed.wait_for(self._has_work)
                if self._closing:
                    return
                operations = [(one, one.operations.popleft()) for one in self._sessions if one.operations]
                if self._loads_ended:
                    self._loads_ended = False
                    operations += [(one, one.parked) for one in self._sessions if one.parked]
                self._turn += 1
                painted = next_turn({session: session.turn for session in self._sessions if session.waiting})
                frame = None
                if painted and not operations:
                    frame, painted.waiting, painted.turn = painted.waiting, None, self._turn
            for session, message in operations:
                self._put_in_force(session, message)
            if painted and frame:
                try:
                    self._paint(painted, frame)
                except Exception:
                    if painted in self._sessions:  # else it left while it was painted, and took its memory along
                        logger.exception("a picture could not be answered")
                        now, error = time.monotonic(), PipelineError("the painted picture could not be handed over")
                        painted.answer(_done(painted, frame, frame.width, frame.height, now, error))

    def _has_work(self) -> bool:
        waiting = any(session.waiting or session.operations for session in self._sessions)
        return self._closing or self._loads_ended or waiting

    def _put_in_force(self, session: PaintSession, message: Apply | Open) -> None:
        session.parked = None
        notes: list[str] = []
        try:
            backend = self._shelf.get(message.settings.pipeline, self._load_ended)
            if backend is None:
                session.parked = message
                return
            if backend is not session.backend:
                session.state = backend.new_state(message.settings)
                session.backend = backend
            elif session.settings is not None:
                before, after = session.settings, message.settings
                changed = {name for name in Settings.model_fields if getattr(before, name) != getattr(after, name)}
                backend.apply(session.state, message.settings, frozenset(changed))
                notes += _without_effect(backend, changed)
            notes += backend.notes(session.state)
        except PipelineError as error:
            session.answer(Rejected(message.version, error.code, error.message, error.fix))
            return
        except Exception:  # a back end is foreign code, and one session's settings must not end all sessions
            logger.exception("%s could not apply settings", message.settings.pipeline)
            session.answer(Rejected(message.version, "apply_failed", "the pipeline failed to apply the settings", ""))
            return
        session.settings, session.version = message.settings, message.version
        session.answer(Applied(message.version, notes))

    def _paint(self, session: PaintSession, message: Submit) -> None:
        started = time.monotonic()
        frame = session.memory.frame(message.slot, message.width, message.height, message.format)
        result, error = self._step(session, frame)
        if result is not frame:
            answer = result.convert(frame.format)
            target = session.memory.frame(message.slot, answer.width, answer.height, frame.format)
            np.copyto(target.data, answer.data)
        session.answer(_done(session, message, result.width, result.height, started, error))

    def _step(self, session: PaintSession, frame: Frame) -> tuple[Frame, PipelineError | None]:
        """The painted frame, or the frame itself and what went wrong."""
        if session.backend is None:
            return frame, StillLoading("the pipeline is still being loaded")
        try:
            [result] = session.backend.step([(session.state, frame)])
        except Exception as error:  # foreign code again: this frame fails, nothing else
            logger.exception("%s failed on a frame", session.backend.name)
            return frame, PipelineError(f"{session.backend.name} failed on this frame: {type(error).__name__}")
        if isinstance(result, PipelineError):
            return frame, result
        return result, None


def _done(
    session: PaintSession, message: Submit, width: int, height: int, started: float, error: PipelineError | None
) -> Done:
    return Done(
        message.sequence,
        message.slot,
        width,
        height,
        session.version,
        started,
        time.monotonic(),
        session.backend.name if session.backend else "",
        error.message if error else None,
        error.code if error else "internal",
    )


def _without_effect(backend: Backend[Any], changed: set[str]) -> list[str]:
    """A sentence that names those of the changed settings that this back end ignores; none if it heeds them all."""
    ignored = sorted(changed & backend.ignores)
    return [f"no effect with {backend.title}: {', '.join(ignored)}"] if ignored else []
