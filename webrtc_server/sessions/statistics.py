"""The counters and times of one session. The times of events are arguments; nothing here is shared."""

from __future__ import annotations

from collections import Counter, deque

from webrtc_server.observe.counted import Counted
from webrtc_server.observe.histogram import StageTimes
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
    """`frames` by how far they came, `dropped` by reason, `stages` in milliseconds, `errors` told by code, `settings`
    messages by what became of them."""

    def __init__(self) -> None:
        self.frames: Counter[str] = Counter(received=0, painted=0, passed_through=0, sent=0)
        self.dropped: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.settings: Counter[str] = Counter()
        self.stages = {"waited": StageTimes(), "pipeline": StageTimes(), "server": StageTimes()}
        self._rates = {"received": Rate(), "sent": Rate()}

    def count(self, what: str, now: float) -> None:
        self.frames[what] += 1
        if rate := self._rates.get(what):
            rate.add(now)

    def fps(self, what: str, now: float) -> float:
        return self._rates[what].per_second(now)

    def counted(self) -> Counted:
        """All of it, as a copy."""
        counted = Counted()
        counted.frames.update(self.frames)
        counted.dropped.update(self.dropped)
        counted.errors.update(self.errors)
        counted.settings.update(self.settings)
        for name, times in self.stages.items():
            counted.stages[name].merge(times.histogram)
        return counted

    def percentiles(self) -> dict[str, Percentiles]:
        return {
            name: Percentiles(p50=times.percentile(50), p95=times.percentile(95)) for name, times in self.stages.items()
        }
