"""How well the event loop keeps time: a task that wakes ten times a second, and by how much it was late."""

from __future__ import annotations

import asyncio
import time

from webrtc_server.limits import LOOP_LAG_WINDOW, LOOP_TICK
from webrtc_server.observe.histogram import Histogram, StageTimes


class LoopClock:
    """`run` is a task's for as long as the loop is of interest; everything else may be asked at any time."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self.lags = Histogram()  # of all ticks
        self._lags = StageTimes(self.lags, round(LOOP_LAG_WINDOW / LOOP_TICK))

    async def run(self) -> None:
        self._last = time.monotonic()
        while True:
            await asyncio.sleep(LOOP_TICK)
            now = time.monotonic()
            self._lags.add(max(0.0, now - self._last - LOOP_TICK) * 1000)  # asyncio may wake it a moment early
            self._last = now

    def age(self, now: float) -> float:
        """Seconds since the last tick; `now` is of the monotonic clock."""
        return now - self._last

    def lag(self, percent: float) -> float | None:
        """Percentile of the milliseconds by which a tick was late, over the last LOOP_LAG_WINDOW; None at first."""
        return self._lags.percentile(percent)
