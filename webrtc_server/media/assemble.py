"""Packets to frames: a frame comes out when its last packet is in, in order, each once. Pure; `holes.py` asks it.

The last packet is the one with the marker bit (RFC 3550 section 5.1) or, from a sender that sets none, the one before
a new time stamp. What cannot be decoded never comes out: after a gap everything up to the next key frame is dropped.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

CAPACITY = 1024  # packets held: a second of video at 10 Mbit/s, and 1.5 MB at most

Reason = Literal["incomplete", "undecodable"]


@dataclass(frozen=True)
class Packet:
    """`number` is unwrapped. `begins`: a frame may start here; `key`: and decoding too. No data: padding."""

    number: int
    timestamp: int
    marker: bool
    begins: bool
    key: bool
    data: bytes


@dataclass(frozen=True)
class Frame:
    timestamp: int  # of RTP: 32 bits, 1/90000 s
    data: bytes
    key: bool
    first: int
    last: int


class Assembler:
    def __init__(self) -> None:
        self.dropped: Counter[Reason] = Counter()  # frames, or what came of them
        self.wants_key = True  # nothing can be decoded before a key frame has come
        self._packets: dict[int, Packet] = {}
        self._keys: set[int] = set()  # of the held packets those at which decoding can start
        self._next: int | None = None  # the number that the next frame begins with
        self._end = 0  # of the packets that were looked through for the frame in the making; nothing is missing before
        self._dropped_timestamp: int | None = None

    @property
    def depth(self) -> int:
        """Packets held, 0 to CAPACITY."""
        return len(self._packets)

    @property
    def lacks_key(self) -> bool:
        """A key frame is wanted and none is on its way."""
        return self.wants_key and not self._keys

    @property
    def next(self) -> int | None:
        """Everything below has left, or is given up."""
        return self._next

    def add(self, packet: Packet) -> list[Frame]:
        """The frames that are complete now. A packet that came before, or too late, changes nothing."""
        if self._next is None:
            self._next = self._end = packet.number
        if packet.number < self._next or packet.number in self._packets:
            return []
        if packet.number >= self._next + CAPACITY:
            self.skip_to(packet.number - CAPACITY + 1)
        self._packets[packet.number] = packet
        if packet.key:
            self._keys.add(packet.number)
        return self.release()

    def skip_to(self, number: int) -> None:
        """Give up all packets below `number`; the next frame to come out will be a key frame."""
        assert self._next is not None
        if number > self._next:
            self._drop(number, "incomplete")
            self.wants_key = True

    def lose_chain(self) -> None:
        """A frame that came out was lost further on: none can be decoded before the next key frame."""
        self.wants_key = True

    def restart(self) -> None:
        """The numbers begin anew with the next packet, whatever it is."""
        if self._next is not None:
            self._drop(self._next + CAPACITY, "incomplete")
        self._next = None
        self.wants_key = True

    def release(self) -> list[Frame]:
        """The frames that are complete now; `add` gives them too, `skip_to` does not."""
        frames: list[Frame] = []
        while self._next is not None:
            if self.wants_key and self._keys and (start := min(self._keys)) > self._next:
                self._drop(start, "undecodable")
            end = self._end_of_frame()
            if end is None:
                break
            if self.wants_key and not self._packets[self._next].key:
                self._drop(end, "undecodable")
                continue
            frames.append(self._take(end))
            self.wants_key = False
        return frames

    def _end_of_frame(self) -> int | None:
        """One past the last packet of the frame that begins at `_next`, once all of them are there."""
        assert self._next is not None
        while (first := self._packets.get(self._next)) and not first.data:  # padding between frames
            self._remove(self._next)
            self._move(self._next + 1)
        if first is None:
            return None
        while packet := self._packets.get(self._end):
            if packet.timestamp != first.timestamp:
                return self._end
            self._end += 1
            if packet.marker:
                return self._end
        return None

    def _take(self, end: int) -> Frame:
        assert self._next is not None
        packets = [self._remove(number) for number in range(self._next, end)]
        frame = Frame(
            packets[0].timestamp,
            b"".join(packet.data for packet in packets),
            any(packet.key for packet in packets),
            self._next,
            end - 1,
        )
        self._move(end)
        return frame

    def _drop(self, end: int, reason: Reason) -> None:
        """Forget all packets below `end`; counts the frames that they belong to."""
        assert self._next is not None
        held = sorted(self._packets) if end - self._next > len(self._packets) else range(self._next, end)
        for number in held:
            if number < end and number in self._packets:
                packet = self._remove(number)
                if packet.data and packet.timestamp != self._dropped_timestamp:
                    self._dropped_timestamp = packet.timestamp
                    self.dropped[reason] += 1
        self._move(end)

    def _remove(self, number: int) -> Packet:
        self._keys.discard(number)
        return self._packets.pop(number)

    def _move(self, number: int) -> None:
        self._next = number
        self._end = max(self._end, number)
