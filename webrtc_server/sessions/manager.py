"""The table of sessions: makes them, finds them, ticks them, ends them. Each session is closed here and only here.

Who gets a place and who waits is decided in `policy/admission.py`, who has been silent too long in
`policy/deadlines.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

from pipeline.settings import Settings
from webrtc_server.limits import CLIENT_ID_LENGTH, CLOSE_TIMEOUT, CLOSING_SESSIONS, GATHER_TIMEOUT
from webrtc_server.observe.counted import Counted
from webrtc_server.observe.log import get_logger
from webrtc_server.observe.metrics import LEFT, UNCONNECTED
from webrtc_server.policy.admission import Admission, Refusal
from webrtc_server.policy.deadlines import End, judge
from webrtc_server.protocol.error_codes import ClientError, Code
from webrtc_server.sessions.applier import checked
from webrtc_server.sessions.painters import Painters
from webrtc_server.sessions.session import Session
from webrtc_server.sessions.tombstones import Tombstones
from webrtc_server.sessions.view_id import in_log, view_id_for

TICK = 0.5  # seconds
RETRY_AFTER = 5  # seconds, told to those who find no place
_ENDS = {End.SILENT: Code.NO_INPUT, End.UNUSABLE: Code.FRAME_TOO_LARGE}
_REFUSALS = {
    Refusal.PENDING: "Too many others are connecting just now.",
    Refusal.FULL: "All places ({places}) are taken, and in line too.",
}

logger = get_logger(__name__)


class SessionManager:
    def __init__(
        self, painters: Painters, defaults: Settings, max_sessions: int | None, queue_length: int, view_key: bytes
    ) -> None:
        """`max_sessions`: painted at a time; None to measure how many can be. `view_key`: see `view_id.key_of`."""
        self.painters = painters
        self.sessions: dict[str, Session[Any]] = {}
        self.admission = Admission(queue_length)
        self.draining = False
        self._defaults = defaults
        self._max_sessions = max_sessions
        self._view_key = view_key
        self._left = asyncio.Event()  # set by each session that leaves
        self._ended = Tombstones()
        self._closing: set[asyncio.Task[None]] = set()
        self._leaving: set[Session[Any]] = set()  # off the table, and not yet closed
        self._counted: defaultdict[str, Counted] = defaultdict(Counted)  # by those who are closed
        self.ended: Counter[tuple[str, ...]] = Counter()  # sessions, by transport and reason
        self._ticker: asyncio.Task[None] | None = None
        painters.supervisor.subscribe(lambda state: self._each(Session.refresh))  # after `painters` itself

    @property
    def places(self) -> int:
        """How many sessions are painted at a time."""
        return self._max_sessions or self.painters.cost.places()

    def refusal(self, older: Session[Any] | None = None) -> str | None:
        """Why a newcomer would be turned away, a sentence; one that takes the place of `older` needs none."""
        if len(self._closing) >= CLOSING_SESSIONS:  # or one that takes itself over without end would hold any number
            return _REFUSALS[Refusal.PENDING]
        refusal = self.admission.refusal(self.places) if older is None else None
        return _REFUSALS[refusal].format(places=self.places) if refusal else None

    def start(self) -> None:
        self._ticker = asyncio.create_task(self._tick(), name="session ticker")

    def default_settings(self) -> Settings:
        """What a session starts with."""
        return self.painters.defaults(self._defaults)

    def create(self, patch: dict[str, Any] | None, client_id: str | None = None) -> Session[Any]:
        """A new session, whose client is yet to connect: see `arrived`. One with the same `client_id` ends, and the new
        one stands where it stood, on its place or in line. Raises ClientError."""
        if client_id is not None and not 1 <= len(client_id) <= CLIENT_ID_LENGTH:
            message = f"client_id has 1 to {CLIENT_ID_LENGTH} characters."
            raise ClientError(Code.BAD_MESSAGE, message, "Choose another one, or leave it out.")
        if self.draining:
            raise ClientError(Code.DRAINING, retry_after=RETRY_AFTER)
        change = checked(self.default_settings(), patch or {}, self.painters)
        older = self._of_client(client_id)
        if refusal := self.refusal(older):
            raise ClientError(Code.CAPACITY, refusal, retry_after=RETRY_AFTER)
        session: Session[Any] = Session(
            self.painters,
            change.settings,
            lambda reason: self.end_soon(session, reason),
            view_id_for(client_id, self._view_key),
            client_id,
        )
        self.sessions[session.session_id] = session
        if older is None:
            self.admission.enter(session.session_id)
        else:
            session.follow(older)
            self.admission.take_over(older.session_id, session.session_id)
            self.end_soon(older, Code.SESSION_ENDED)
            if session.session_id in self.admission.running:
                session.seat()
        logger.info("session opened", session=in_log(session.view_id), sessions=len(self.sessions))
        return session

    def arrived(self, session: Session[Any], watched: bool = False) -> None:
        """Its client is connected: to the line, and on to a place if there is one. `watched`: see `Session.arrive`."""
        if session.session_id in self.sessions:
            session.arrive(watched)
            self.admission.connected(session.session_id)
            self._advance()

    def _advance(self) -> None:
        now, places = time.monotonic(), self.places
        for session_id in self.admission.advance(places, now):
            self._look_after(self.sessions[session_id], Session.seat)
        for session_id, place in self.admission.line(places).items():
            self._look_after(self.sessions[session_id], partial(Session.stand, place=place))

    def _of_client(self, client_id: str | None) -> Session[Any] | None:
        if client_id is None:
            return None
        return next((session for session in self.sessions.values() if session.client_id == client_id), None)

    def find(self, session_id: str) -> Session[Any]:
        """Raises ClientError `not_found`."""
        session = self.sessions.get(session_id)
        if session is None:
            raise ClientError(Code.NOT_FOUND, "There is no such session.", "It may have ended: start a new one.")
        return session

    def has_ended(self, session_id: str) -> bool:
        """Whether a session of that id ended in the last five minutes."""
        return self._ended.has(session_id, time.monotonic())

    async def end(self, session: Session[Any], reason: Code | None = None) -> None:
        """Take it off the table at once and close it, within CLOSE_TIMEOUT or so; repeatable, does not raise.

        `reason` is told to the client; None where the connection is gone anyhow.
        """
        if self._take_off(session):
            await self._close(session, reason)

    def end_soon(self, session: Session[Any], reason: Code | None = None) -> None:
        """`end`, for callbacks that cannot wait; it is off the table when this returns."""
        if self._take_off(session):
            task = asyncio.create_task(self._close(session, reason), name="session end")
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def _take_off(self, session: Session[Any]) -> bool:
        if self.sessions.pop(session.session_id, None) is None:
            return False
        self._left.set()
        self._leaving.add(session)
        now = time.monotonic()
        self._ended.add(session.session_id, now)
        self.admission.leave(session.session_id, now)
        self._advance()
        return True

    async def _close(self, session: Session[Any], reason: Code | None) -> None:
        try:
            async with asyncio.timeout(GATHER_TIMEOUT + 2 * CLOSE_TIMEOUT):
                await session.close(reason)
        except TimeoutError:
            logger.error("session did not close in time", session=in_log(session.view_id))
        except Exception:
            logger.exception("session did not close cleanly", session=in_log(session.view_id))
        finally:
            self._leaving.discard(session)
            self._counted[session.transport].merge(session.counted())
            self.ended[session.transport, reason or (UNCONNECTED if session.signs is None else LEFT)] += 1
        logger.info("session ended", session=in_log(session.view_id), frames=dict(session.statistics.frames))

    def counted(self) -> dict[str, Counted]:
        """By all sessions so far, by transport."""
        totals: defaultdict[str, Counted] = defaultdict(Counted)
        for transport, counted in self._counted.items():
            totals[transport].merge(counted)
        for session in (*self.sessions.values(), *self._leaving):
            totals[session.transport].merge(session.counted())
        return totals

    async def drain(self, seconds: float) -> None:
        """Refuse new sessions, tell the others when they will be ended, and wait that long for them to leave."""
        self.draining = True
        if not self.sessions:
            return
        logger.info("draining", sessions=len(self.sessions), seconds=seconds)
        deadline = time.monotonic() + seconds
        self._each(lambda session: session.ends_at(deadline))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.sessions:
                    self._left.clear()
                    await self._left.wait()

    async def close(self) -> None:
        """End every session; new ones are refused from now on. Repeatable."""
        self.draining = True
        self.admission.waiting.clear()  # who leaves now makes no room for others
        if self._ticker:
            self._ticker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticker
        await asyncio.gather(*(self.end(session, Code.DRAINING) for session in list(self.sessions.values())))
        await asyncio.gather(*self._closing)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            self._each(Session.tick)
            self._each(self._judge)
            self._advance()  # the number of places may have been measured anew, and so the time to wait

    def _judge(self, session: Session[Any]) -> None:
        if session.signs is None:
            return  # the peer's own time to connect is running
        wanted = bool(self.admission.waiting) and session.session_id in self.admission.running
        verdict = judge(session.signs, time.monotonic(), wanted)
        if verdict.end:
            self.end_soon(session, _ENDS[verdict.end])
        elif verdict.rests:
            session.rest()

    def _each(self, act: Callable[[Session[Any]], None]) -> None:
        for session in list(self.sessions.values()):
            self._look_after(session, act)

    def _look_after(self, session: Session[Any], act: Callable[[Session[Any]], None]) -> None:
        try:
            act(session)
        except Exception:  # one session's trouble is not to stop the clock of all
            logger.exception("session could not be looked after", session=in_log(session.view_id))
