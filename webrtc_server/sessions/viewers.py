"""Who watches which session: the table of viewers, its limit, and their ends. Each viewer is closed here and only here.

A `view_id` grants watching and nothing else; a viewer's own id grants ending that viewer.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass
from typing import Protocol
from weakref import WeakValueDictionary

from webrtc_server.limits import CLOSE_TIMEOUT, VIEWERS_PER_SESSION
from webrtc_server.observe.counted import Counted
from webrtc_server.observe.log import get_logger
from webrtc_server.protocol.error_codes import ClientError, Code
from webrtc_server.rtc.relay import Broadcast
from webrtc_server.sessions.tombstones import Tombstones
from webrtc_server.sessions.view_id import in_log

RETRY_AFTER = 5  # seconds, told to those who find no place

logger = get_logger(__name__)


class Viewer(Protocol):
    def counted(self) -> Counted:
        """What it has counted so far; also after its end."""

    async def close(self) -> None:
        """End the connection; bounded, repeatable."""


@dataclass
class _Entry:
    view_id: str
    viewer: Viewer | None = None


class Viewers:
    def __init__(self, most: int = VIEWERS_PER_SESSION) -> None:
        self._most = most
        # view_id -> what there is to see, for as long as its session has it: nobody's last picture stays here
        self._videos: WeakValueDictionary[str, Broadcast] = WeakValueDictionary()
        self._entries: dict[str, _Entry] = {}  # by viewer id
        self._ended = Tombstones()
        self._leaving: set[Viewer] = set()  # off the table, and not yet closed
        self._counted = Counted()  # by those who are closed
        self._closing: set[asyncio.Task[None]] = set()
        self.draining = False
        self.ended = 0  # viewers, so far

    def publish(self, view_id: str, video: Broadcast) -> None:
        """From now on, and until `video` is closed, whoever knows `view_id` may watch."""
        self._videos[view_id] = video

    def video(self, view_id: str) -> Broadcast:
        """Raises ClientError `not_found`."""
        video = self._videos.get(view_id)
        if video is None or video.closed:
            raise ClientError(Code.NOT_FOUND, "There is nothing to watch here.", "The session may have ended.")
        return video

    def reserve(self, view_id: str) -> str:
        """A place, as the new viewer's id: to be filled by `seat`, or given back by `end`. Raises ClientError."""
        if self.draining:
            raise ClientError(Code.DRAINING, retry_after=RETRY_AFTER)
        if sum(entry.view_id == view_id for entry in self._entries.values()) >= self._most:
            message = f"All {self._most} places to watch this session are taken."
            raise ClientError(Code.CAPACITY, message, retry_after=RETRY_AFTER)
        viewer_id = secrets.token_urlsafe(16)
        self._entries[viewer_id] = _Entry(view_id)
        return viewer_id

    def seat(self, viewer_id: str, viewer: Viewer) -> None:
        self._entries[viewer_id].viewer = viewer

    def is_here(self, viewer_id: str) -> bool:
        return viewer_id in self._entries

    def has_ended(self, viewer_id: str) -> bool:
        """Whether a viewer of that id ended in the last five minutes."""
        return self._ended.has(viewer_id, time.monotonic())

    async def end(self, viewer_id: str) -> None:
        """Bounded, repeatable, does not raise."""
        entry = self._entries.pop(viewer_id, None)
        if entry is None:
            return
        self._ended.add(viewer_id, time.monotonic())
        if entry.viewer is None:
            return
        self._leaving.add(entry.viewer)
        try:
            async with asyncio.timeout(2 * CLOSE_TIMEOUT):
                await entry.viewer.close()
        except Exception:
            logger.exception("viewer did not close cleanly", session=in_log(entry.view_id))
        finally:
            self._leaving.discard(entry.viewer)
            self.ended += 1
            self._counted.merge(entry.viewer.counted())

    @property
    def watching(self) -> int:
        """How many viewers there are."""
        return len(self._entries)

    def counted(self) -> Counted:
        """By all viewers so far."""
        counted = Counted()
        counted.merge(self._counted)
        for viewer in (*(entry.viewer for entry in self._entries.values() if entry.viewer), *self._leaving):
            counted.merge(viewer.counted())
        return counted

    def end_soon(self, viewer_id: str) -> None:
        """`end`, for callbacks that cannot wait."""
        if viewer_id in self._entries:
            task = asyncio.create_task(self.end(viewer_id), name="viewer end")
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """End every viewer; new ones are refused from now on."""
        self.draining = True
        await asyncio.gather(*(self.end(viewer_id) for viewer_id in tuple(self._entries)))
        await asyncio.gather(*self._closing)
