"""How long things took, counted in buckets for as long as the server runs: what Prometheus takes its quantiles from.

A bisection and two additions for each measurement. For the moment's own percentiles there is `Timings`; `StageTimes`
is both.
"""

from __future__ import annotations

from bisect import bisect_left

from pipeline.policy.timing import WINDOW, Timings

# Upper bounds in seconds, inclusive. A frame of 30 a second has 33 ms, and what takes 2 s is no live video any more.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.033, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.0)


class Histogram:
    """`counts` of each bucket alone, the last one's without a bound; `sum` in seconds."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.sum += seconds

    def merge(self, other: Histogram) -> None:
        self.counts = [own + more for own, more in zip(self.counts, other.counts, strict=True)]
        self.sum += other.sum


class StageTimes(Timings):
    """A sliding window of milliseconds whose every value is in `histogram`, too."""

    def __init__(self, histogram: Histogram | None = None, window: int = WINDOW) -> None:
        super().__init__(window)
        self.histogram = histogram or Histogram()

    def add(self, milliseconds: float) -> None:
        super().add(milliseconds)
        self.histogram.add(milliseconds / 1000)
