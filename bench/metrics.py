"""What does `/metrics` cost: a scrape while eight sessions run, and what is counted on the way of a frame?

The first holds up the event loop, and so every session, for as long as it takes; the second is the difference between a
window of times and one with a histogram behind it, for the four times that a frame of WebRTC has. Both in seconds of
this thread's own work, which others on the machine do not lengthen.
"""

from __future__ import annotations

import asyncio
import statistics
import time
import timeit
from functools import partial

import aiohttp
from prometheus_client import generate_latest

from pipeline.policy.timing import Timings
from tests.fakes.fault_backend import add_entries
from tests.fakes.rtc_client import RtcClient
from tests.fakes.server import RunningServer
from webrtc_server.config import Config
from webrtc_server.observe import log
from webrtc_server.observe.histogram import StageTimes
from webrtc_server.web.app import METRICS

SESSIONS, FPS = 8, 5.0
ROUNDS = 200
STAGES = 4  # of a frame
CALLS = 200_000


async def scrapes() -> tuple[list[float], int]:
    """Milliseconds of each scrape, and its bytes."""
    log.setup("warning", "console")
    add_entries()
    server = RunningServer(Config(port=0, max_sessions=SESSIONS), "identity")
    await server.start()
    clients = [RtcClient(server.url, 320, 240, FPS) for _ in range(SESSIONS)]
    times = []
    try:
        for client in clients:
            await client.connect()
            await client.frames(3)
        for _ in range(ROUNDS):
            begun = time.thread_time()
            text = generate_latest(server.app[METRICS].registry)
            times.append((time.thread_time() - begun) * 1000)
            await asyncio.sleep(0.01)
        async with aiohttp.ClientSession(server.url) as http, http.get("/metrics") as response:
            assert len(await response.read()) >= len(text) / 2
    finally:
        await asyncio.gather(*(client.close() for client in clients))
        await server.close()
    return times, len(text)


def counting() -> float:
    """Microseconds that one frame's histograms take."""
    plain, counted = (
        min(timeit.repeat(partial(times.add, 12.3), timer=time.thread_time, number=CALLS, repeat=5)) / CALLS
        for times in (Timings(), StageTimes())
    )
    return (counted - plain) * 1e6 * STAGES


def main() -> None:
    times, size = asyncio.run(scrapes())
    p50, p95 = statistics.median(times), statistics.quantiles(times, n=20)[-1]
    added = counting()
    print("| what | cost |\n| --- | --- |")
    print(f"| a scrape, {SESSIONS} sessions, {size / 1000:.1f} kB | {p50:.2f} ms (p95 {p95:.2f} ms) |")
    print(f"| the same every 10 s | {p50 / 100:.3f} % of the event loop |")
    print(f"| histograms of a frame | {added:.2f} µs, {added / 1e6 * 30 * 100:.4f} % of a core at 30 frames a second |")


if __name__ == "__main__":
    main()
