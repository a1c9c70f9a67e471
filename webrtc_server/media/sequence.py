"""RTP sequence numbers have 16 bits, time stamps 32, and both wrap (RFC 3550 section 5.1). Pure.

`Unwrapper` makes them integers that only rise, so that nothing else needs to know of the wrap: `assemble.py` and
`holes.py` count with plain integers, and the shell takes `short` of one before it goes out again.
"""

from __future__ import annotations

SIZE = 1 << 16
STAMPS = 1 << 32
STEP_MAX = 30 * 90_000  # ticks between two frames of one clock; more, or less than nothing, is another clock
STEP_ASSUMED = 3_000  # ticks to the first frame of another clock: a thirtieth of a second


def short(number: int) -> int:
    """The 16 bits that are sent of an unwrapped number."""
    return number % SIZE


def distance(later: int, earlier: int) -> int:
    """Steps from `earlier` to `later` the short way round: -32768 to 32767, negative if `later` is the older one."""
    return (later - earlier + SIZE // 2) % SIZE - SIZE // 2


class Unwrapper:
    """Each number is taken to be the one nearest to the newest so far; so the first may be followed by older ones."""

    def __init__(self) -> None:
        self._newest: int | None = None

    def peek(self, number: int) -> int:
        """Where `number` (0 to 65535) would stand; the newest is not moved."""
        if self._newest is None:
            return number
        return self._newest + distance(number, short(self._newest))

    def unwrap(self, number: int) -> int:
        unwrapped = self.peek(number)
        if self._newest is None or unwrapped > self._newest:
            self._newest = unwrapped
        return unwrapped

    def ahead(self, number: int) -> int:
        """Steps from the newest so far to `number`; 1 for the next in order, 0 if nothing has come yet."""
        return 0 if self._newest is None else distance(number, short(self._newest))


class Timeline:
    """Time stamps of RTP to ticks that start at 0 and only rise, also when the sender's clock begins anew."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._ticks = 0

    def map(self, timestamp: int) -> int:
        """`timestamp` has 32 bits, of 1/90000 s; frames come in order."""
        if self._last is not None:
            step = (timestamp - self._last) % STAMPS
            self._ticks += step if 0 < step <= STEP_MAX else STEP_ASSUMED
        self._last = timestamp
        return self._ticks
