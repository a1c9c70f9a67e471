"""A rate limit as arithmetic: so many a second, so many at once. Pure: the time is an argument."""

from __future__ import annotations


class TokenBucket:
    def __init__(self, rate: float, burst: float) -> None:
        """`rate` tokens a second, at most `burst` of them saved up; full at the start."""
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at: float | None = None

    def take(self, now: float) -> bool:
        """Whether there was a token; it is gone then."""
        self._fill(now)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def next_token(self, now: float) -> float:
        """When there will be a token; `now` or earlier if there is one."""
        self._fill(now)
        return now + max(0.0, 1 - self._tokens) / self._rate

    def _fill(self, now: float) -> None:
        if self._at is not None:
            self._tokens = min(self._burst, self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = now
