"""Who ended a short while ago, so that ending it again is no error. Used by both tables."""

from __future__ import annotations

from collections import OrderedDict

from webrtc_server.limits import TOMBSTONE_SECONDS, TOMBSTONES


class Tombstones:
    """By id; times in seconds of the monotonic clock."""

    def __init__(self) -> None:
        self._ended: OrderedDict[str, float] = OrderedDict()  # oldest first

    def add(self, key: str, now: float) -> None:
        self._ended[key] = now
        while len(self._ended) > TOMBSTONES:
            self._ended.popitem(last=False)

    def has(self, key: str, now: float) -> bool:
        """Whether it ended in the last TOMBSTONE_SECONDS, as far back as is remembered."""
        ended = self._ended.get(key)
        return ended is not None and now - ended <= TOMBSTONE_SECONDS
