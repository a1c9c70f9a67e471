"""One video stream on its way in: packets and the time go in; frames, NACKs and PLIs come out. Pure.

Brings `sequence.py`, `payload.py`, `assemble.py` and `holes.py` together, and counts. `rtc/receiver.py` carries out
what it says.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from webrtc_server.media.assemble import CAPACITY, Assembler, Frame, Packet
from webrtc_server.media.holes import Holes, KeyFrameWish
from webrtc_server.media.payload import look
from webrtc_server.media.sequence import Unwrapper, short

MISORDER = 3000  # packets behind the newest: further back is a sender that began anew (RFC 3550 appendix A.1)


@dataclass(frozen=True)
class Arrived:
    """A packet as RTP has it. `payload` is with the codec's header, `data` without, as the decoder wants it."""

    ssrc: int
    sequence: int
    timestamp: int
    marker: bool
    codec: str
    payload: bytes
    data: bytes
    retransmitted: bool = False


@dataclass(frozen=True)
class Actions:
    """`nack`: sequence numbers as they are sent, rising as such. `wake`: when to call `tick` at the latest."""

    frames: list[Frame]
    nack: tuple[int, ...]
    key_frame: bool
    wake: float | None


class Inbound:
    def __init__(self) -> None:
        self.ssrc: int | None = None
        self.can_nack = True  # the other side has agreed to hear of it (RFC 4585 section 4.2)
        self.can_ask_key_frame = True  # likewise
        self._damaged = False  # the decoder could make nothing of a frame, and no key frame has come since
        self._unwrapper = Unwrapper()
        self._assembler = Assembler()
        self._holes = Holes()
        self._wish = KeyFrameWish()
        self._counts: Counter[str] = Counter()

    def receive(self, arrived: Arrived, now: float) -> list[Frame]:
        """The frames that are complete now. If `urgent` is true after it, `tick` is due at once."""
        if self.ssrc != arrived.ssrc or self._began_anew(arrived):
            if arrived.retransmitted and self.ssrc is not None:
                self._counts["packets_late"] += 1
                return []
            self._restart(arrived.ssrc)
        number = self._unwrapper.unwrap(arrived.sequence)
        kind = self._holes.received(number, now, arrived.retransmitted)
        self._counts["packets_received"] += kind in ("new", "recovered", "reordered")
        self._counts[f"packets_{kind}"] += 1
        if kind in ("late", "duplicate"):
            return []
        seen = look(arrived.codec, arrived.payload)
        packet = Packet(number, arrived.timestamp, arrived.marker, seen.begins, seen.key, arrived.data)
        if self._counts["packets_received"] == 1 and seen.key:
            self._wish.expect(now, self._holes.rtt)
        frames = self._assembler.add(packet)
        return self._count(frames)

    @property
    def urgent(self) -> bool:
        """Something may have to be sent, or a wake-up may have moved."""
        return bool(self._holes.open) or self._lacks_key

    @property
    def _lacks_key(self) -> bool:
        return self._assembler.lacks_key or self._damaged

    def tick(self, now: float) -> Actions:
        """What is due. What it says counts as done."""
        plan = self._holes.plan(now)
        frames: list[Frame] = []
        if plan.give_up is not None:
            self._counts["holes_given_up"] += 1
            self._assembler.skip_to(plan.give_up + 1)
            frames = self._count(self._assembler.release())
        nack = tuple(sorted(map(short, plan.ask))) if self.can_nack else ()
        self._counts["packets_nacked"] += len(nack)
        self._counts["nacks_sent"] += bool(nack)
        wants_key = self._lacks_key and self.can_ask_key_frame and self.ssrc is not None
        key_frame = self._wish.due(wants_key, now, self._holes.rtt)
        self._counts["plis_sent"] += key_frame
        wakes = [plan.wake] if plan.wake is not None else []
        if wants_key:
            wakes.append(self._wish.wake)
        return Actions(frames, nack, key_frame, min(wakes, default=None))

    def lose_chain(self) -> None:
        """A frame was lost behind here, before the decoder: none can be decoded before the next key frame."""
        self._counts["frames_dropped_decoder"] += 1
        self._assembler.lose_chain()

    def refuse(self) -> None:
        """A frame is not to be decoded, so none can be before the next key frame."""
        self._counts["frames_too_large"] += 1
        self._assembler.lose_chain()

    def decode_failed(self) -> None:
        """The decoder could make nothing of a frame. What follows is still shown: often nothing is amiss with it."""
        self._counts["frames_damaged"] += 1
        self._damaged = True

    def numbers(self) -> dict[str, float]:
        """For the statistics: counts since the start, and how much waits now."""
        names = ("received", "recovered", "reordered", "duplicate", "late", "nacked")
        return {
            **{f"packets_{name}": float(self._counts[f"packets_{name}"]) for name in names},
            "packets_lost": float(self._holes.lost),
            "packets_waiting": float(self._assembler.depth),
            "holes_given_up": float(self._counts["holes_given_up"]),
            "nacks_sent": float(self._counts["nacks_sent"]),
            "plis_sent": float(self._counts["plis_sent"]),
            "repair_ms": self._holes.rtt * 1000,
            "frames_assembled": float(self._counts["frames_assembled"]),
            "key_frames_received": float(self._counts["key_frames_received"]),
            "frames_damaged": float(self._counts["frames_damaged"]),
            "frames_dropped_incomplete": float(self._assembler.dropped["incomplete"]),
            "frames_dropped_undecodable": float(self._assembler.dropped["undecodable"]),
            "frames_dropped_decoder": float(self._counts["frames_dropped_decoder"]),
            "frames_too_large": float(self._counts["frames_too_large"]),
        }

    def _began_anew(self, arrived: Arrived) -> bool:
        return not -MISORDER <= self._unwrapper.ahead(arrived.sequence) <= CAPACITY

    def _restart(self, ssrc: int) -> None:
        self.ssrc = ssrc
        self._unwrapper = Unwrapper()
        self._assembler.restart()
        self._holes.restart()

    def _count(self, frames: list[Frame]) -> list[Frame]:
        self._counts["frames_assembled"] += len(frames)
        keys = sum(frame.key for frame in frames)
        self._counts["key_frames_received"] += keys
        self._damaged = self._damaged and not keys
        if self._assembler.next is not None:
            self._holes.forget(self._assembler.next)
        return frames
