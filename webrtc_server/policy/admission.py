"""Who is painted, who waits in line, and who is not let in. Pure: keys stand for sessions, the time is an argument.

A newcomer's offer holds one of the seats (places and line together) but no place: places go to those who have
connected, in the order in which they did. Nobody is ever sent back from a place to the line.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from statistics import median

from webrtc_server.limits import PENDING_OFFERS

REMEMBERED = 20  # stays on a place, for the estimate of the next one's length


class Refusal(Enum):
    PENDING = auto()  # too many offers were answered whose clients have yet to connect
    FULL = auto()


@dataclass(frozen=True)
class Place:
    """In line: 1 is next. `wait` in seconds, an estimate; None while there is nothing to base it on."""

    number: int
    wait: float | None


class Admission:
    def __init__(self, queue_length: int) -> None:
        self.pending: set[str] = set()
        self.waiting: list[str] = []
        self.running: dict[str, float] = {}  # since when
        self.queue_length = queue_length
        self._stays: deque[float] = deque(maxlen=REMEMBERED)

    def refusal(self, places: int) -> Refusal | None:
        """Why nobody may come in now."""
        if len(self.pending) >= PENDING_OFFERS:
            return Refusal.PENDING
        taken = len(self.pending) + len(self.waiting) + len(self.running)
        seats = max(places, len(self.running)) + self.queue_length
        return Refusal.FULL if taken >= seats else None

    def enter(self, key: str) -> None:
        """An offer was answered."""
        self.pending.add(key)

    def take_over(self, old: str, new: str) -> None:
        """`new` stands where `old` stood."""
        if old in self.pending:
            self.pending.remove(old)
            self.pending.add(new)
        if old in self.waiting:
            self.waiting[self.waiting.index(old)] = new
        if old in self.running:
            self.running[new] = self.running.pop(old)

    def connected(self, key: str) -> None:
        """To the end of the line."""
        if key in self.pending:
            self.pending.remove(key)
            self.waiting.append(key)

    def leave(self, key: str, now: float) -> None:
        """From wherever it is; repeatable."""
        self.pending.discard(key)
        if key in self.waiting:
            self.waiting.remove(key)
        if key in self.running:
            self._stays.append(now - self.running.pop(key))

    def advance(self, places: int, now: float) -> list[str]:
        """Those whose turn it is now, up to `places` in all."""
        begun = self.waiting[: max(0, places - len(self.running))]
        del self.waiting[: len(begun)]
        self.running.update(dict.fromkeys(begun, now))
        return begun

    def line(self, places: int) -> dict[str, Place]:
        """Everybody in line. A place comes free every (median stay / places) seconds."""
        every = median(self._stays) / places if self._stays else None
        return {
            key: Place(number, None if every is None else number * every)
            for number, key in enumerate(self.waiting, start=1)
        }
