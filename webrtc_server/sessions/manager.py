"""The table of sessions: makes them, finds them, ticks them, ends them. Each session is closed here and only here."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from pipeline.settings import Settings
from webrtc_server.limits import CLOSE_TIMEOUT, TOMBSTONE_SECONDS, TOMBSTONES
from webrtc_server.observe.log import get_logger
from webrtc_server.protocol.error_codes import ClientError, Code
from webrtc_server.sessions.applier import checked
from webrtc_server.sessions.painters import Painters
from webrtc_server.sessions.session import Session

TICK = 0.5  # seconds
RETRY_AFTER = 5  # seconds, told to those who find no place

logger = get_logger(__name__)


class SessionManager:
    def __init__(self, painters: Painters, defaults: Settings, max_sessions: int) -> None:
        self.painters = painters
        self.sessions: dict[str, Session[Any]] = {}
        self.draining = False
        self._defaults = defaults
        self.max_sessions = max_sessions
        self._left = asyncio.Event()  # set by each session that leaves
        self._ended: OrderedDict[str, float] = OrderedDict()  # session_id -> when, oldest first
        self._closing: set[asyncio.Task[None]] = set()
        self._ticker: asyncio.Task[None] | None = None
        painters.supervisor.subscribe(lambda state: self._each(Session.refresh))  # after `painters` itself

    @property
    def is_full(self) -> bool:
        return len(self.sessions) >= self.max_sessions

    def start(self) -> None:
        self._ticker = asyncio.create_task(self._tick(), name="session ticker")

    def default_settings(self) -> Settings:
        """What a session starts with."""
        return self.painters.defaults(self._defaults)

    async def create(self, patch: dict[str, Any] | None, client_id: str | None = None) -> Session[Any]:
        """A new session; one with the same `client_id` gives way to it. Raises ClientError."""
        if self.draining:
            raise ClientError(Code.DRAINING, retry_after=RETRY_AFTER)
        change = checked(self.default_settings(), patch or {}, self.painters)
        while older := self._of_client(client_id):  # another may have come while one was being ended
            await self.end(older, Code.SESSION_ENDED)
        if self.draining:
            raise ClientError(Code.DRAINING, retry_after=RETRY_AFTER)
        if self.is_full:
            message = f"All {self.max_sessions} places are taken."
            raise ClientError(Code.CAPACITY, message, retry_after=RETRY_AFTER)
        session: Session[Any] = Session(self.painters, change.settings, client_id)
        self.sessions[session.session_id] = session
        logger.info("session opened", session=session.view_id, sessions=len(self.sessions))
        return session

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
        ended = self._ended.get(session_id)
        return ended is not None and time.monotonic() - ended <= TOMBSTONE_SECONDS

    async def end(self, session: Session[Any], reason: Code | None = None) -> None:
        """Take it off the table at once and close it, within CLOSE_TIMEOUT or so; repeatable, does not raise.

        `reason` is told to the client: `draining`, `session_ended`, or None where the connection is gone anyhow.
        """
        if self.sessions.pop(session.session_id, None) is None:
            return
        self._left.set()
        self._ended[session.session_id] = time.monotonic()
        while len(self._ended) > TOMBSTONES:
            self._ended.popitem(last=False)
        try:
            async with asyncio.timeout(2 * CLOSE_TIMEOUT):
                await session.close(reason)
        except TimeoutError:
            logger.error("session did not close in time", session=session.view_id)
        except Exception:
            logger.exception("session did not close cleanly", session=session.view_id)
        logger.info("session ended", session=session.view_id, frames=dict(session.statistics.frames))

    def end_soon(self, session: Session[Any]) -> None:
        """`end`, for callbacks that cannot wait."""
        task = asyncio.create_task(self.end(session), name="session end")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

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

    def _each(self, act: Callable[[Session[Any]], None]) -> None:
        for session in list(self.sessions.values()):
            try:
                act(session)
            except Exception:  # one session's trouble is not to stop the clock of all
                logger.exception("session could not be looked after", session=session.view_id)
