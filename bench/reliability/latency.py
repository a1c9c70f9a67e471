"""P6: a pipeline far slower than the camera makes the picture rare, not late."""

from __future__ import annotations

from statistics import median

from bench.reliability.promise import Row, Scale, row
from bench.reliability.subject import Subject
from tests.fakes.rtc_client import RtcClient

PAINTING = 0.2  # seconds a frame
TARGET = "camera of 30 fps, 200 ms a frame: p95 <= 500 ms (two frames and 100 ms), flat over time"
P95_MS = 2 * PAINTING * 1000 + 100
RISE_MS = 50.0  # from the first third to the last
SECONDS = {Scale.FAST: 6, Scale.SHORT: 20, Scale.LONG: 60}


async def latency(scale: Scale) -> Row:
    settings: dict[str, object] = {"prompt": f"slow {PAINTING}"}
    async with Subject("fault") as server, RtcClient(server.url, 320, 240, settings=settings) as client:
        await client.frames(10)
        since = client.received[-1].at
        await client.until(lambda: client.received[-1].at > since + SECONDS[scale], SECONDS[scale] + 10)
        late: dict[int, float] = {}  # a picture that is repeated counts once
        for frame in client.received:
            if frame.at >= since and frame.number in client.camera.sent:
                late.setdefault(frame.number, (frame.at - client.camera.sent[frame.number]) * 1000)
    values = list(late.values())
    third = len(values) // 3
    p95 = sorted(values)[int(len(values) * 0.95)]
    rise = median(values[-third:]) - median(values[:third])
    measured = (
        f"{SECONDS[scale]} s: p50 {median(values):.0f} ms, p95 {p95:.0f} ms, {rise:+.0f} ms from first to last third"
    )
    return row("P6", TARGET, measured, [], [p95 <= P95_MS, rise <= RISE_MS], p95_ms=p95, rise_ms=rise)
