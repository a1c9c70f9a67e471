"""When a worker that answers, but paints nothing any more, should rather end. Pure: the time is an argument."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

MOST_IN_A_ROW = 30  # failed frames with none painted between them, whoever's they are
MOST_OUT_OF_MEMORY = 3  # frames without memory within OUT_OF_MEMORY_WINDOW: what is free lies in pieces
OUT_OF_MEMORY_WINDOW = 10.0  # seconds
OUT_OF_MEMORY_APART = 1.0  # seconds; what fails sooner after another was on its way before anything could be done


@dataclass
class Failures:
    _in_a_row: int = 0
    _out_of_memory: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_OUT_OF_MEMORY))

    def painted(self) -> None:
        self._in_a_row = 0

    def failed(self, out_of_memory: bool, now: float) -> str:
        """Why the process should end, or nothing."""
        self._in_a_row += 1
        if out_of_memory and (not self._out_of_memory or now - self._out_of_memory[-1] >= OUT_OF_MEMORY_APART):
            self._out_of_memory.append(now)
            oldest = self._out_of_memory[0]
            if len(self._out_of_memory) == MOST_OUT_OF_MEMORY and now - oldest <= OUT_OF_MEMORY_WINDOW:
                return f"{MOST_OUT_OF_MEMORY} frames found no memory within {OUT_OF_MEMORY_WINDOW:.0f} s"
        if self._in_a_row >= MOST_IN_A_ROW:
            return f"{self._in_a_row} frames in a row failed"
        return ""
