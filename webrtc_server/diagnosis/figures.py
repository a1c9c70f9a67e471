"""What a benchmark found, as data that two runs can be compared by; and latency out of what was seen. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from pydantic import BaseModel

from pipeline.policy.timing import Timings

FORM = 1  # of the file; rises when a name changes its meaning
DISTINCT = 8.0  # levels of 0 to 255 between light and dark; the neural style leaves 22 or more


class Times(BaseModel):
    """Milliseconds: half of `count` took up to `p50`, 95 of 100 up to `p95`."""

    p50: float
    p95: float
    count: int

    @classmethod
    def of(cls, milliseconds: Sequence[float]) -> Times | None:
        """None without any."""
        window = Timings(max(1, len(milliseconds)))
        for one in milliseconds:
            window.add(one)
        half, most = window.percentile(50), window.percentile(95)
        if half is None or most is None:
            return None
        return cls(p50=round(half, 2), p95=round(most, 2), count=len(milliseconds))


class EndToEnd(BaseModel):
    """A session on this machine: `fps` pictures a second painted, `received_fps` seen, which holds repeated ones too.

    `latency` is from the camera to the client's decoder; None if it is over a second, or the painter keeps no
    difference of light and dark.
    `server` are the server's own times: waiting for the painter, painting, and from decoder to encoder.
    """

    fps: float
    received_fps: float
    latency: Times | None
    server: dict[str, Times]


class Machine(BaseModel):
    system: str
    cpu: str
    cores: int
    memory_gb: float
    load: float  # over the last minute, at the start
    device: str  # that painted
    libraries: dict[str, str]


class Conditions(BaseModel):
    """What was measured; runs that differ in this cannot be compared."""

    pipeline: str
    model: str | None
    prompt: str
    width: int
    height: int
    camera: str
    seconds: float


class Figures(BaseModel):
    """`stages` are one after the other in one process, with nothing else running: what each costs."""

    form: int = FORM
    version: str
    when: str  # UTC, ISO 8601
    machine: Machine
    conditions: Conditions
    stages: dict[str, Times]
    end_to_end: EndToEnd


def latencies(flips: Sequence[tuple[float, bool]], seen: Sequence[tuple[float, float]]) -> list[float] | None:
    """Milliseconds from each flip of the scene until the flip was seen; one that was not seen before the next is left
    out. None if the light cannot be told from the dark, or less than half of the flips were seen.

    `flips` are times and whether the scene became light, `seen` times and brightness of what came back; both in order.
    """
    if len(flips) < 2 or not seen:
        return None
    ordered = sorted(brightness for _, brightness in seen)
    dark, light = ordered[len(ordered) // 10], ordered[-1 - len(ordered) // 10]
    if light - dark < DISTINCT:
        return None
    middle, found = (dark + light) / 2, []
    for (flipped, is_light), (until, _) in pairwise(flips):
        came = (at for at, brightness in seen if flipped <= at < until and (brightness > middle) is is_light)
        before = [brightness for at, brightness in seen if at < flipped][-1:]
        if before and (before[0] > middle) is not is_light and (at := next(came, None)) is not None:
            found.append((at - flipped) * 1000)
    return found if 2 * len(found) >= len(flips) - 1 else None
