"""How long a stage of a load will still take: (now, done, total) in, seconds out. Pure: the time is an argument.

The rate is that of the last seconds, pauses included: it follows a connection that slows down, a short stall makes the
estimate grow, and a long one ends it.
"""

from __future__ import annotations

from collections import deque

WINDOW = 10.0  # seconds over which the rate is measured
SETTLE = 1.0  # seconds of a stage before anything is said about it
SPACING = 0.2  # seconds between the measurements kept


class Estimate:
    """Of one stage. Make a new one for the next."""

    def __init__(self) -> None:
        self._kept: deque[tuple[float, float]] = deque()  # (when, done), the oldest just beyond the window

    def left(self, now: float, done: float, total: float) -> float | None:
        """Seconds until `done` (now, on a monotonic clock) is `total`; None if that cannot be told.

        Nothing can be said of a `total` of 0, in the first second, or when nothing has been done for WINDOW seconds.
        """
        if self._kept and done < self._kept[-1][1]:
            self._kept.clear()  # it began anew
        if not self._kept or now - self._kept[-1][0] >= SPACING:
            self._kept.append((now, done))
        while len(self._kept) > 1 and now - self._kept[1][0] >= WINDOW:
            self._kept.popleft()
        since, at_first = self._kept[0]
        if total <= 0 or now - since < SETTLE or done <= at_first:
            return None
        return max(0.0, (total - done) * (now - since) / (done - at_first))
