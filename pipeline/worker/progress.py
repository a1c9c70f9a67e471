"""What a back end says while it loads, made into messages: not too many, and with the time that is left."""

from __future__ import annotations

import time
from collections.abc import Callable

from pipeline.backend import Progress
from pipeline.policy.estimate import Estimate
from pipeline.worker.messages import Loading

INTERVAL = 0.25  # seconds between two messages of one stage; a download may report each of its packets


class Reporter:
    """A `Report` for one load; called in the thread that loads, and calls `tell` there."""

    def __init__(self, tell: Callable[[Loading], None], pipeline: str = "") -> None:
        """`pipeline` is named in each stage, where it is not clear which one is loaded."""
        self._tell = tell
        self._of = f"{pipeline}: " if pipeline else ""
        self._stage: str | None = None
        self._told = 0.0
        self._estimate = Estimate()

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.stage != self._stage:
            self._stage, self._estimate = progress.stage, Estimate()
        elif now - self._told < INTERVAL:
            return
        self._told = now
        left = self._estimate.left(now, progress.done, progress.total)
        eta = None if left is None else round(left, 1)
        self._tell(Loading(f"{self._of}{progress.stage}", progress.done, progress.total, progress.unit, eta))
