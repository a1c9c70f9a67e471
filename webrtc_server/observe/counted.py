"""What one session or viewer has counted, in a form that can be added up: over those that are here, and those before.

Each part of a session counts for itself, on the way of a frame; here the numbers are only fetched when somebody asks,
and once more when it has ended. Read by `metrics.py`.
"""

from __future__ import annotations

from collections import Counter, defaultdict

from webrtc_server.observe.histogram import Histogram


class Counted:
    """`frames` by how far they came, `dropped` by reason, `errors` by code, `settings` messages by result, `bytes` of
    the media connection by direction, `stages` by name."""

    def __init__(self) -> None:
        self.frames: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.settings: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self.ice_failures = 0
        self.stages: defaultdict[str, Histogram] = defaultdict(Histogram)

    def merge(self, other: Counted) -> None:
        self.frames.update(other.frames)
        self.dropped.update(other.dropped)
        self.errors.update(other.errors)
        self.settings.update(other.settings)
        self.bytes.update(other.bytes)
        self.ice_failures += other.ice_failures
        for name, histogram in other.stages.items():
            self.stages[name].merge(histogram)
