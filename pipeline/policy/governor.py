"""How large the network may be: step times in, size out. Pure: the time is an argument.

It climbs slowly, after a calm spell with room for the next size, and descends fast. After a climb that had to be
taken back it waits twice as long before the next, so that it cannot swing between two sizes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence
from statistics import median

SIZES = (256, 320, 384)  # side of a square of the network's area, pixels
TARGET_SECONDS = 1 / 20  # all streams' steps of one round: 20 frames a second here leave 15 after codecs and network
HEADROOM = 0.8  # of the target, which the step at the next size is expected to need at most
DOWN_AFTER = 1.0  # seconds of too slow steps before it descends
UP_AFTER = 5.0  # seconds of fast steps before it climbs the first time
UP_AFTER_LIMIT = 120.0  # seconds
TRIAL = 20.0  # seconds: a descent sooner than this after a climb counts as a climb taken back
FEWEST = 8  # steps to judge by
STREAM_GONE = 2.0  # seconds without a step after which a stream does not count


class Governor:
    """One per back end. `size` is what the next step is to use."""

    def __init__(self, sizes: Sequence[int] = SIZES, target: float = TARGET_SECONDS) -> None:
        """`sizes` ascend; `target` is in seconds."""
        self._sizes = tuple(sizes)
        self._target = target
        self._at = 0
        self._steps: deque[tuple[float, float]] = deque(maxlen=256)  # (when, seconds), at the present size only
        self._streams: dict[Hashable, float] = {}  # when each was last painted
        self._since = 0.0
        self._climbed: float | None = None
        self._patience = UP_AFTER

    @property
    def size(self) -> int:
        return self._sizes[self._at]

    def observe(self, now: float, seconds: float, stream: Hashable = 0) -> int:
        """Take in one step of `stream` that took `seconds` and ended `now` (a monotonic clock); answers `size`."""
        self._streams[stream] = now
        self._streams = {key: seen for key, seen in self._streams.items() if now - seen <= STREAM_GONE}
        if self._steps and now - self._steps[-1][0] > STREAM_GONE:
            self._steps.clear()  # a pause says nothing of the machine
        if not self._steps:
            self._since = now
        self._steps.append((now, seconds))
        budget = self._target / len(self._streams)
        if self._at and self._is_slow(now, budget):
            self._descend(now)
        elif self._at + 1 < len(self._sizes) and self._has_room(now, budget):
            self._move(now, +1)
            self._climbed = now
        return self.size

    def _recent(self, now: float, span: float) -> list[float]:
        return [seconds for when, seconds in self._steps if now - when <= span]

    def _is_slow(self, now: float, budget: float) -> bool:
        recent = self._recent(now, DOWN_AFTER)
        return now - self._since >= DOWN_AFTER and len(recent) >= FEWEST and median(recent) > budget

    def _has_room(self, now: float, budget: float) -> bool:
        if now - self._since < self._patience:
            return False
        recent = sorted(self._recent(now, UP_AFTER))
        growth = (self._sizes[self._at + 1] / self.size) ** 2
        # Judged by a slow step, not by a typical one: a core that is busy every now and then has no room.
        return len(recent) >= FEWEST and recent[len(recent) * 9 // 10] * growth <= HEADROOM * budget

    def _descend(self, now: float) -> None:
        if self._climbed is not None and now - self._climbed < TRIAL:
            self._patience = min(2 * self._patience, UP_AFTER_LIMIT)
        self._climbed = None
        self._move(now, -1)

    def _move(self, now: float, by: int) -> None:
        self._at += by
        self._since = now
        self._steps.clear()
