"""What the painting thread is doing, for whoever asks from another thread: the worker's pulse."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.policy.supervision import Doing, Pulse
from pipeline.policy.timing import Timings


class Activity:
    """Written by one thread; each value that another reads is replaced whole."""

    def __init__(self) -> None:
        self._at: tuple[Doing, float] = "nothing", 0.0
        self._usual = 0.0
        self._steps = Timings()

    @contextmanager
    def at(self, doing: Doing) -> Iterator[None]:
        """The thread is inside of this now. Only the times of painting tell what is usual."""
        begun = time.monotonic()
        self._at = doing, begun
        try:
            yield
        finally:
            self._at = "nothing", 0.0
            if doing == "painting":
                self._steps.add((time.monotonic() - begun) * 1000)
                self._usual = (self._steps.percentile(50) or 0.0) / 1000

    def pulse(self, now: float, loads: bool) -> Pulse:
        doing, since = self._at
        return Pulse(doing, now - since if doing != "nothing" else 0.0, self._usual, loads)
