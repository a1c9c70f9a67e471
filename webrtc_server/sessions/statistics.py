"""The counters and times of one session. The times of events are arguments; nothing here is shared."""

from __future__ import annotations

from collections import Counter, deque

from pipeline.policy.timing import Timings
from webrtc_server.protocol.messages import Percentiles

RATE_WINDOW = 2.0  # seconds over which frames a second are counted


class Rate:
    """Events a second over the last RATE_WINDOW."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=512)

    def add(self, now: float) -> None:
        self._times.append(now)

    def per_second(self, now: float) -> float:
        while self._times and now - self._times[0] > RATE_WINDOW:
            self._times.popleft()
        return len(self._times) / RATE_WINDOW


class Statistics:
    """`frames` by how far they came, `dropped` by reason, `stages` in milliseconds."""

    def __init__(self) -> None:
        self.frames: Counter[str] = Counter(received=0, painted=0, passed_through=0, sent=0)
        self.dropped: Counter[str] = Counter()
        self.stages = {"waited": Timings(), "pipeline": Timings(), "server": Timings()}
        self._rates = {"received": Rate(), "sent": Rate()}

    def count(self, what: str, now: float) -> None:
        self.frames[what] += 1
        if rate := self._rates.get(what):
            rate.add(now)

    def fps(self, what: str, now: float) -> float:
        return self._rates[what].per_second(now)

    def percentiles(self) -> dict[str, Percentiles]:
        return {
            name: Percentiles(p50=times.percentile(50), p95=times.percentile(95)) for name, times in self.stages.items()
        }
