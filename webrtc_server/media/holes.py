"""Packets that are missing: when to ask for them again (NACK), when to give them up, when to ask for a key frame (PLI).

Pure. A hole is asked for as soon as it is seen, and again after a round trip, each time with more patience. It is given
up after a few round trips, since a live picture that waits longer is worth less than the next key frame (RFC 4585
sections 6.2.1 and 6.3.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

RTT_FIRST = 0.05  # seconds, assumed until a packet was asked for and came
RTT_MAX = 0.5  # seconds; a longer round trip cannot be waited for anyhow
RTT_FALL = 1 / 8  # of the way to a lower measurement; a higher one counts at once, for impatience loses the repair
ASK_MIN = 0.02  # seconds before the first repetition, however short the round trip: packets of a burst take that long
ASK_RTTS = 1.25  # round trips before the first repetition
ASK_BACK_OFF = 1.5  # each repetition waits so much longer than the one before
ASK_NUMBERS = 128  # of one message: 524 bytes at most, and as many packets as aiortc's sender remembers
LIMIT_MIN = 0.2  # seconds that a hole stays open: four askings on a LAN, and a freeze that is hardly seen
LIMIT_RTTS = 4  # round trips that a hole stays open, between the two limits
LIMIT_MAX = 0.5  # seconds; on so long a path there is time for one repetition
KEY_FRAME_SPACING = 0.3  # seconds between two PLI: the time in which an encoder answers and the answer is sent
PAST = 256  # holes given up that are remembered, to learn from what comes too late

Arrival = Literal["new", "recovered", "reordered", "late", "duplicate"]


@dataclass
class _Hole:
    opened: float
    next_ask: float
    asks: list[float]  # when it was asked for

    def round_trip(self, now: float, expected: float) -> float:
        """Of an answer that comes now, which does not say what it answers: the last asking, unless too soon for it."""
        newest = now - self.asks[-1]
        return newest if newest >= expected / 2 else now - self.asks[0]


@dataclass(frozen=True)
class Plan:
    """`ask`: numbers to send NACKs for, rising. `give_up`: nothing up to it will be waited for. `wake`: look again."""

    ask: tuple[int, ...] = ()
    give_up: int | None = None
    wake: float | None = None


class Holes:
    """Bounded: `forget` and the time limit end each hole, and the caller lets no number be far ahead of the newest."""

    def __init__(self) -> None:
        self.lost = 0  # packets given up
        self._rtt: float | None = None
        self._newest: int | None = None
        self._open: dict[int, _Hole] = {}
        self._past: dict[int, _Hole] = {}

    @property
    def rtt(self) -> float:
        """Seconds from asking to having, 0 to RTT_MAX."""
        return RTT_FIRST if self._rtt is None else self._rtt

    @property
    def limit(self) -> float:
        """Seconds that a hole stays open."""
        return min(max(LIMIT_RTTS * self.rtt, LIMIT_MIN), LIMIT_MAX)

    @property
    def open(self) -> int:
        return len(self._open)

    def received(self, number: int, now: float, retransmitted: bool) -> Arrival:
        """`retransmitted`: it may be the answer to a NACK. Only what is not late or a duplicate is of use."""
        if self._newest is None or number > self._newest:
            for missing in range(number if self._newest is None else self._newest + 1, number):
                self._open[missing] = _Hole(now, now, [])
            self._newest = number
            return "new"
        if hole := self._open.pop(number, None):
            if not hole.asks or not retransmitted:
                return "reordered"
            self._learn(hole, now)
            return "recovered"
        if number in self._past:
            self._learn(self._past.pop(number), now)
            return "late"
        return "duplicate"

    def plan(self, now: float) -> Plan:
        """What is due. What it says counts as done."""
        expired = [number for number, hole in self._open.items() if now >= hole.opened + self.limit]
        give_up = max(expired, default=None)
        if give_up is not None:
            self.forget(give_up + 1)
        due = sorted(number for number, hole in self._open.items() if now >= hole.next_ask)[:ASK_NUMBERS]
        for number in due:
            self._count_ask(self._open[number], now)
        wake = min((min(hole.next_ask, hole.opened + self.limit) for hole in self._open.values()), default=None)
        return Plan(tuple(due), give_up, wake)

    def forget(self, end: int) -> None:
        """Nobody waits for numbers below `end` any more: those still missing are lost."""
        for number in [number for number in self._open if number < end]:
            hole = self._open.pop(number)
            self.lost += 1
            if hole.asks:
                self._past[number] = hole
        while len(self._past) > PAST:
            del self._past[next(iter(self._past))]

    def restart(self) -> None:
        """The numbers begin anew. What was learned of the path stays."""
        self.lost += len(self._open)
        self._open.clear()
        self._past.clear()
        self._newest = None

    def _count_ask(self, hole: _Hole, now: float) -> None:
        hole.next_ask = now + max(ASK_MIN, ASK_RTTS * self.rtt) * ASK_BACK_OFF ** len(hole.asks)
        hole.asks.append(now)

    def _learn(self, hole: _Hole, now: float) -> None:
        measured = hole.round_trip(now, self.rtt)
        if self._rtt is not None and measured < self._rtt:
            measured = self._rtt + (measured - self._rtt) * RTT_FALL
        self._rtt = min(measured, RTT_MAX)


class KeyFrameWish:
    """When to send a PLI while a key frame is wanted: at once, then every KEY_FRAME_SPACING or two round trips."""

    def __init__(self) -> None:
        self._next = 0.0
        self._never = True

    def due(self, wanted: bool, now: float, rtt: float) -> bool:
        """Whether to ask now. What it says counts as done."""
        if not wanted or (not self._never and now < self._next):
            return False
        self.expect(now, rtt)
        return True

    def expect(self, now: float, rtt: float) -> None:
        """One is on its way."""
        self._never = False
        self._next = now + max(KEY_FRAME_SPACING, 2 * rtt)

    @property
    def wake(self) -> float:
        return self._next
