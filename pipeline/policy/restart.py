"""How long to wait before a dead worker is started again. Pure: the time is an argument."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_DELAY = 0.5  # seconds, after the second quick death in a row
LONGEST_DELAY = 30.0  # seconds
HEALTHY_AFTER = 30.0  # seconds of service after which earlier deaths are forgotten


@dataclass
class RestartPolicy:
    """The first death costs no delay; quick deaths in a row double it, from 0.5 to 30 seconds."""

    _quick_deaths: int = 0
    _ready_since: float | None = None

    def ready(self, now: float) -> None:
        self._ready_since = now

    def died(self, now: float) -> float:
        """Seconds to wait before the next start."""
        if self._ready_since is not None and now - self._ready_since >= HEALTHY_AFTER:
            self._quick_deaths = 0
        self._ready_since = None
        self._quick_deaths += 1
        if self._quick_deaths == 1:
            return 0.0
        return float(min(LONGEST_DELAY, FIRST_DELAY * 2 ** (self._quick_deaths - 2)))
