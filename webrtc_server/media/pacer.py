"""What the outgoing video track sends next, and when: fresh, repeated, unpainted, or nothing yet. Pure.

The track is never silent for longer than STALL_AFTER while there is anything to show. A slow pipeline gets its last
painted frame repeated (a camera picture in between would flicker); one that has painted nothing for
PASS_THROUGH_AFTER is replaced by the camera picture. Time stamps are the source's and always rise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from webrtc_server.limits import PASS_THROUGH_AFTER, STALL_AFTER

F = TypeVar("F")
TICKS = 90_000  # of a time stamp, per second (RFC 3551 section 4.1: video clocks)


@dataclass(frozen=True)
class Send(Generic[F]):
    frame: F
    pts: int
    kind: Literal["fresh", "repeat", "unpainted"]


@dataclass(frozen=True)
class WaitUntil:
    """Nothing to send before `time`, unless something new comes."""

    time: float


@dataclass
class _Stamped(Generic[F]):
    frame: F
    pts: int
    at: float


class Pacer(Generic[F]):
    def __init__(self, now: float) -> None:
        self.late = 0  # finished frames that a newer one overtook before they were sent
        self._idle_since = now
        self._painted_at = now
        self._fresh: _Stamped[F] | None = None
        self._input: _Stamped[F] | None = None
        self._last: _Stamped[F] | None = None

    def captured(self, frame: F, pts: int, now: float) -> None:
        """A picture came from the camera."""
        self._input = _Stamped(frame, pts, now)

    def finished(self, frame: F, pts: int, now: float) -> None:
        """A frame is to be sent: painted, or the camera's own while there is no painter."""
        self.late += self._fresh is not None
        self._fresh = _Stamped(frame, pts, now)
        self._painted_at = now

    def hurry(self) -> None:
        """Somebody new watches: what there is to show is due now, not only when something fresh comes."""
        self._idle_since = float("-inf")

    def next(self, now: float) -> Send[F] | WaitUntil:
        if self._fresh:
            fresh, self._fresh = self._fresh, None
            return self._send(fresh.frame, fresh.pts, "fresh", now)
        if now < self._idle_since + STALL_AFTER:
            return WaitUntil(self._idle_since + STALL_AFTER)
        newer = self._input if self._input and (not self._last or self._input.pts > self._last.pts) else None
        if newer and (not self._last or now - self._painted_at >= PASS_THROUGH_AFTER):
            return self._send(newer.frame, newer.pts, "unpainted", now)
        if self._last:
            return self._send(self._last.frame, self._repeat_pts(now, newer), "repeat", now)
        return WaitUntil(now + STALL_AFTER)

    def _repeat_pts(self, now: float, newer: _Stamped[F] | None) -> int:
        """As late as the time that has passed says, but before the picture that is being painted now."""
        assert self._last
        elapsed = self._last.pts + round((now - self._last.at) * TICKS)
        return min(elapsed, newer.pts - 1) if newer else elapsed

    def _send(self, frame: F, pts: int, kind: Literal["fresh", "repeat", "unpainted"], now: float) -> Send[F]:
        if self._last:
            pts = max(pts, self._last.pts + 1)
        self._last = _Stamped(frame, pts, now)
        self._idle_since = now
        return Send(frame, pts, kind)
