"""How many bits a second the outgoing video may have. Pure.

It starts sharp, at what a picture of that size needs, for most links are a LAN. What the receiver says is over the
limit (REMB, loss in receiver reports) lowers it at once; without complaint it climbs back in rare, large steps.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

REFERENCE_PIXELS = 640 * 480
REFERENCE_RATE = 1_500_000  # bit/s for 640x480 at 30 frames a second: about 37 dB with the quickest H.264
SIZE_EXPONENT = 0.75  # larger pictures need fewer bits for each pixel, for they show the same things larger
FLOOR = 200_000  # bit/s: below this a picture is no picture, and the link no link for video

STEP_UP = 1.3  # times: less is not seen, and for some encoders each step is a key frame
STEP_UP_AFTER = 5.0  # seconds without a complaint before each step
LOSS_OF_CONGESTION = 0.1  # of the packets: below it is radio, and fewer bits do not help
LOSS_TOLERATED = 0.02  # of the packets: above it nothing climbs
LOSS_WEIGHT = 0.5  # draft-ietf-rmcat-gcc-02 section 6: a rate with loss p becomes (1 - p / 2) times itself
DOWN_SPACING = 1.0  # seconds between cuts for loss: a report tells of about the second before it
ROOM = 0.95  # of what the receiver estimates: the rest is for headers and retransmissions

REBUILD_RATIO = 1.3  # times: a difference of rates worth a new encoder, up or down
REBUILD_SPACING = 5.0  # seconds between new encoders for a higher rate
REBUILD_SPACING_DOWN = 1.0  # the same for a lower one: a link that is too full does not wait

LOW_RUNG_BELOW = 0.6  # of the stream's rate: a viewer whose link carries less gets the low rung
FULL_RUNG_ABOVE = 1.0  # of the stream's rate: a viewer of the low rung whose link carries this goes back up


@dataclass(frozen=True)
class Rates:
    """Bits a second: where to start, and the most there may be."""

    start: int
    ceiling: int


def rates(width: int, height: int, ceiling: int | None = None) -> Rates:
    """For a picture of that size; `ceiling` in bit/s is the owner's own, else what the size needs is the most."""
    needed = round(REFERENCE_RATE * (width * height / REFERENCE_PIXELS) ** SIZE_EXPONENT)
    most = max(FLOOR, needed if ceiling is None else ceiling)
    return Rates(min(max(FLOOR, needed), most), most)


class BitrateControl:
    """One receiver's link. What it says comes by `estimated` and `lost`; `target` is asked before each frame."""

    def __init__(self, now: float) -> None:
        self._rates = Rates(FLOOR, FLOOR)
        self._rate = 0.0
        self._quiet_since = now
        self._cut_at: float | None = None

    def size(self, sizes: Rates) -> None:
        """The picture has this size from now on: what the link was found to carry is kept if it is less."""
        held_down = 0 < self._rate < self._rates.start
        self._rates = sizes
        self._rate = min(self._rate, sizes.ceiling) if held_down else float(sizes.start)

    def estimated(self, bits: int, sent: float, now: float) -> None:
        """A REMB message (draft-alvestrand-rmcat-remb-03): `bits` a second are what the receiver thinks can come.

        An estimate is bound by what has come, so in a still scene it is low without any trouble, and just after one it
        is out of date: it counts only if it is below `sent`, the bits a second that went out for a while (`steady`).
        """
        if bits >= sent:
            return
        self._quiet_since = now
        self._rate = max(FLOOR, min(self._rate, bits * ROOM))

    def lost(self, fraction: float, now: float) -> None:
        """A receiver report (RFC 3550 section 6.4.1): 0..1 of the packets since the last one were lost."""
        if fraction > LOSS_TOLERATED:
            self._quiet_since = now
        if fraction <= LOSS_OF_CONGESTION or (self._cut_at is not None and now - self._cut_at < DOWN_SPACING):
            return
        self._cut_at = now
        self._rate = max(FLOOR, self._rate * (1 - LOSS_WEIGHT * fraction))

    def target(self, now: float) -> int:
        """Bits a second from now on."""
        if self._rate < self._rates.ceiling and now - self._quiet_since >= STEP_UP_AFTER:
            self._rate = min(self._rates.ceiling, self._rate * STEP_UP)
            self._quiet_since = now
        return round(self._rate)


def worth_rebuilding(running: int, wanted: int, age: float) -> bool:
    """Whether an encoder that cannot change its rate and is `age` seconds old is to give way to a new one."""
    if wanted < running:
        return running / wanted >= REBUILD_RATIO and age >= REBUILD_SPACING_DOWN
    return wanted / running >= REBUILD_RATIO and age >= REBUILD_SPACING


class Meter:
    """Sizes of what was sent, and when."""

    WINDOW = 1.0  # seconds

    def __init__(self) -> None:
        self._sizes: deque[tuple[float, int]] = deque(maxlen=256)  # two seconds of up to 128 packets each

    def add(self, size: int, now: float) -> None:
        self._sizes.append((now, size))

    def rate(self, now: float) -> float:
        """Bits a second over the last second."""
        total = 0
        for at, size in reversed(self._sizes):
            if at <= now - self.WINDOW:
                break
            if at <= now:
                total += size
        return total * 8 / self.WINDOW

    def steady(self, now: float) -> float:
        """Bits a second that were sent for two seconds at least: the less of the last and the one before."""
        return min(self.rate(now), self.rate(now - self.WINDOW))
