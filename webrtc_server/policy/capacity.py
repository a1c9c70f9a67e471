"""How many sessions can be painted at once, from how long painting takes. Pure: it is given times, it takes none."""

from __future__ import annotations

from collections import deque

from webrtc_server.limits import MEASURED_PLACES, PLACE_FPS

WINDOW = 120  # frames
ENOUGH = 30  # frames before the measure counts; the first ones of a pipeline are slow


class PaintingCost:
    """Seconds of the painter's time for one frame, over the last frames of all sessions.

    What is painted together, in a batch or overlapping, is busy time only once: so the cost of a frame falls as
    batches fill up, and with it rises the number of places.
    """

    def __init__(self) -> None:
        self._busy: deque[float] = deque(maxlen=WINDOW)
        self._until = float("-inf")

    def add(self, started: float, finished: float) -> None:
        """A painted frame; frames come in the order in which they were finished."""
        self._busy.append(max(0.0, finished - max(started, self._until)))
        self._until = max(self._until, finished)

    def places(self) -> int:
        """As many sessions as leave each PLACE_FPS, from 1 to MEASURED_PLACES; the most until enough is known."""
        if len(self._busy) < ENOUGH:
            return MEASURED_PLACES
        busy = sum(self._busy)
        if busy == 0:
            return MEASURED_PLACES
        return max(1, min(MEASURED_PLACES, int(len(self._busy) / busy / PLACE_FPS)))
