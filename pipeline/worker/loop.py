"""The painting loop: the only thread that touches a model.

Each round puts waiting settings into force, or paints the newest frame of the session whose turn it is, together with
those of others if their pipeline paints several at once. Where a back end works on by itself, the frames of further
sessions are begun before the answers of the first are waited for: two batches are under way at most, no session is in
both, and settings wait for both. Sessions are added, changed and removed from the I/O thread through the methods of
`Painter`, which never wait for a model.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipeline.backend import Backend
from pipeline.errors import ApplyFailed, DeviceLost, OutOfMemory, PipelineError, without_folders
from pipeline.policy.blame import PROVEN_AFTER
from pipeline.policy.failures import Failures
from pipeline.policy.scheduler import next_batch
from pipeline.policy.supervision import Doing, Pulse
from pipeline.settings import differences
from pipeline.worker.activity import Activity
from pipeline.worker.flight import Flight
from pipeline.worker.messages import Applied, Apply, Dropped, Open, Rejected, Submit
from pipeline.worker.paint_session import PaintSession
from pipeline.worker.shelf import Shelf

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Successor:
    """A back end with `model` that is ready to take over. `in_place` is called when it has, in the painting thread."""

    backend: Backend[Any]
    model: str
    in_place: Callable[[], object]


class Painter:
    """Owns the thread that paints. `close` is bounded: the thread is a daemon and is left behind if a model hangs.

    `lost` is called, as the thread's last act, when a back end says that its device is lost, or when nothing can be
    painted any more.
    """

    def __init__(self, shelf: Shelf, lost: Callable[[], object] = lambda: None) -> None:
        self._shelf = shelf
        self._lost = lost
        self._sessions: set[PaintSession] = set()
        self._changed = threading.Condition()
        self._closing = False
        self._loads_ended = False
        self._successor: Successor | None = None
        self._flying: Flight | None = None  # the painting thread's own
        self._turn = 0
        self._activity = Activity()
        self._failures = Failures()
        self._thread = threading.Thread(target=self._run, name="paint", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def add(self, session: PaintSession, first: Open) -> None:
        with self._changed:
            session.operations.append(first)
            session.alone = PROVEN_AFTER if first.suspect else 0
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
            session.gone = True

    def replace(self, successor: Successor) -> None:
        """Between two frames, a back end takes the place of the one of its name. One at a time."""
        with self._changed:
            self._successor = successor
            self._changed.notify()

    def pulse(self, now: float) -> Pulse:
        """How the painting thread does. Does not wait for it."""
        return self._activity.pulse(now, self._shelf.is_loading)

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
            logger.critical("this process cannot paint any more and ends: %s", error.message)
            if self._flying:
                self._flying.land()
            self._flying = None
            self._lost()

    def _paint_for_ever(self) -> None:
        """Raises DeviceLost."""
        while True:
            with self._changed:
                if self._flying is None:
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
            self._fly(batch)
            with self._activity.at("preparing"):
                if successor:
                    self._take_over(successor)
                for session, message in operations:
                    self._put_in_force(session, message)

    def _fly(self, batch: list[tuple[PaintSession, Submit]]) -> None:
        """Begin the batch, then answer the one before, which the device has worked on meanwhile. Raises DeviceLost."""
        if self._flying and (self._flying.alone or any(session.alone for session, _ in batch)):
            self._land_before(None)
        following = None
        if batch:
            with self._activity.at(_step(any(session.fresh for session, _ in batch))):
                following = Flight(batch)
        if following and not following.under_way:
            self._land(following)
            following = None
        self._land_before(following)

    def _land_before(self, following: Flight | None) -> None:
        """What is under way lands, and `following` takes its place. Raises DeviceLost."""
        before, self._flying = self._flying, following
        if before:
            self._land(before)

    def _land(self, flight: Flight) -> None:
        """Raises DeviceLost, also if this process paints nothing any more."""
        with self._activity.at(_step(flight.fresh)):
            errors = flight.land()
        reason = ""
        for error in errors:
            if isinstance(error, DeviceLost):
                raise error
            if error is None:
                self._failures.painted()
            else:
                reason = self._failures.failed(isinstance(error, OutOfMemory), time.monotonic()) or reason
        if reason:
            raise DeviceLost(reason)

    def _take_batch(self) -> list[tuple[PaintSession, Submit]]:
        """Called with the lock held."""
        flying = self._flying or ()
        turns = {one: one.turn for one in self._sessions if one.waiting and one not in flying}
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
            session.memory.mark(True)  # until it is loaded
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
        session.memory.mark(True)
        try:
            if backend is session.backend and session.settings is not None:
                changed = differences(session.settings, message.settings)
                backend.apply(session.state, message.settings, frozenset(changed))
                notes += _without_effect(backend, frozenset(changed))
                rebuilding += [name for name in changed if name in backend.rebuilds]
                state = session.state
                session.fresh |= bool(rebuilding)
            else:
                state = backend.new_state(message.settings)
                session.fresh = True
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
        session.memory.mark(False)
        session.answer(Applied(message.version, notes, rebuilding))

    @staticmethod
    def _refuse(session: PaintSession, message: Apply | Open, error: PipelineError) -> None:
        session.memory.mark(False)
        if session.backend is None:  # nothing else paints it
            session.refused = message, error
        session.answer(Rejected(message.version, error.code, error.public, without_folders(error.fix)))


def _step(fresh: bool) -> Doing:
    return "preparing" if fresh else "painting"


def _painter(session: PaintSession) -> tuple[object, int]:
    """See `next_batch`."""
    if session.backend is None or session.alone:
        return session, 1
    return session.backend, session.backend.batch_limit


def _without_effect(backend: Backend[Any], changed: frozenset[str]) -> list[str]:
    """A sentence that names those of the changed settings that this back end ignores; none if it heeds them all."""
    ignored = sorted(changed & backend.ignores)
    return [f"no effect with {backend.title}: {', '.join(ignored)}"] if ignored else []
