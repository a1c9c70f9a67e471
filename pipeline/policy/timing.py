"""Percentiles over the last so many measurements. Pure: it is given times, it takes none."""

from __future__ import annotations

from collections import deque

WINDOW = 120  # measurements: four seconds at 30 frames a second


class Timings:
    """A sliding window of durations, in milliseconds."""

    def __init__(self, window: int = WINDOW) -> None:
        self._values: deque[float] = deque(maxlen=window)

    def add(self, milliseconds: float) -> None:
        self._values.append(milliseconds)

    def percentile(self, percent: float) -> float | None:
        """Nearest-rank percentile, or None before the first measurement."""
        if not self._values:
            return None
        ordered = sorted(self._values)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
