"""Who gets which packet of one stream: encoded once, seen by many. Pure.

A viewer joins at a key frame. One that does not keep up loses what waits for it and goes on at the next key frame;
nobody else notices. `rtc/relay.py` has the queues and does what is decided here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from webrtc_server.media.bitrate import FULL_RUNG_ABOVE, LOW_RUNG_BELOW
from webrtc_server.media.keyframes import KeyFrames

QUEUE = 4  # packets waiting for one viewer: 130 ms at 30 frames a second, after which it is better to jump

V = TypeVar("V")
Rung = Literal["full", "low"]


@dataclass(frozen=True)
class Deal(Generic[V]):
    """One packet: who gets it, and whose waiting packets are thrown away first."""

    give: tuple[V, ...]
    clear: tuple[V, ...]


class Fanout(Generic[V]):
    """One stream of packets and its viewers, each named by something hashable."""

    def __init__(self) -> None:
        self.key_frames = KeyFrames()
        self._waiting: dict[V, bool] = {}  # viewer -> whether it waits for a key frame

    @property
    def viewers(self) -> tuple[V, ...]:
        return tuple(self._waiting)

    def join(self, viewer: V, now: float) -> None:
        self._waiting[viewer] = True
        self.key_frames.wish("join", now)

    def leave(self, viewer: V) -> None:
        """Repeatable."""
        self._waiting.pop(viewer, None)

    def repair(self, viewer: V, now: float) -> None:
        """The viewer cannot decode: it sent PLI (RFC 4585 section 6.3.1) or FIR (RFC 5104 section 4.3.1)."""
        if viewer in self._waiting:
            self.key_frames.wish("repair", now)

    def deal(self, key: bool, queued: Mapping[V, int], now: float) -> Deal[V]:
        """`queued` is how many packets each viewer has not taken yet."""
        give, clear = [], []
        for viewer, waits in self._waiting.items():
            full = queued[viewer] >= QUEUE
            if full:
                clear.append(viewer)
            if key or not (waits or full):
                give.append(viewer)
                self._waiting[viewer] = False
            elif full:
                self._waiting[viewer] = True
                self.key_frames.wish("repair", now)
        return Deal(tuple(give), tuple(clear))


def rung(current: Rung, link: int, full: int) -> Rung:
    """Which rung a viewer is to have whose link carries `link` bit/s, while the full one has `full`."""
    if current == "full":
        return "low" if link < full * LOW_RUNG_BELOW else "full"
    return "full" if link >= full * FULL_RUNG_ABOVE else "low"
