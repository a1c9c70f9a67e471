"""P10: four people stay, one comes and goes, settings change all the time; nothing grows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from statistics import median

import numpy as np

from bench.reliability.leaks import loopback_addresses, visit
from bench.reliability.promise import Row, Scale, row
from bench.reliability.subject import Subject, View
from tests.fakes.rtc_client import RtcClient

TARGET = "4 sessions, a churner, settings 2/s: RSS < 1 MB in 10 min; tasks, descriptors flat; fps drift <= 5 %; "
TARGET += "lag p99 < 50 ms"
SECONDS = {Scale.FAST: 15, Scale.SHORT: 135, Scale.LONG: 1800}
WARM_UP = {Scale.FAST: 3, Scale.SHORT: 45, Scale.LONG: 300}
SESSIONS, WIDTH, HEIGHT, FPS = 4, 160, 120, 10
# Small, so that painting takes a quarter of a core: at its limit the painter, not the server, would settle the fps.
PAINTED: dict[str, object] = {"width": 256, "height": 256}
SETTINGS_PERIOD = 0.5  # seconds
CHURN_PERIOD = 2.0  # seconds
LOOK_PERIOD = 1.0  # seconds
MB_TEN_MINUTES, LAG_MS, DRIFT = 1.0, 50.0, 0.05
RSS_SECONDS = 600  # measured: in less, an allocator's steps are all there is to see; the slope is told and not held to


async def soak(scale: Scale) -> Row:
    views: list[tuple[float, View]] = []
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(Subject("effects", max_sessions=SESSIONS + 2))
        clients = [RtcClient(server.url, WIDTH, HEIGHT, fps=FPS, settings=PAINTED) for _ in range(SESSIONS)]
        for client in clients:
            await stack.enter_async_context(client)
            await client.message("status")  # the channel is open
            await client.frames(2)
        churner = asyncio.create_task(_churn(server.url), name="churner")
        changer = asyncio.create_task(_change(clients), name="changer")
        try:
            begun = time.monotonic()
            while (now := time.monotonic() - begun) < WARM_UP[scale] + SECONDS[scale]:
                view = await server.look()
                if now >= WARM_UP[scale]:
                    views.append((now, view))
                for task in (churner, changer):
                    if task.done():
                        await task
                await asyncio.sleep(LOOK_PERIOD)
        finally:
            for task in (churner, changer):
                task.cancel()
            await asyncio.gather(churner, changer, return_exceptions=True)
        since = begun + WARM_UP[scale]
        rates = [_rates([frame.at for frame in client.received], since, SECONDS[scale]) for client in clients]
    quiet = [(at, view) for at, view in views if len(view.sessions) == SESSIONS]  # the churner is away
    times = [at for at, _ in quiet]
    rss = slope(times, [view.rss_mb for _, view in quiet]) * 600
    tasks = slope(times, [float(view.tasks) for _, view in quiet]) * 600
    descriptors = slope(times, [float(view.descriptors) for _, view in quiet]) * 600
    drift = max(abs(last / first - 1) for first, last in rates)
    lag = median(view.lag_p99_ms for _, view in views)
    measured = (
        f"{SECONDS[scale]} s: RSS {quiet[-1][1].rss_mb:.0f} MB, {rss:+.2f} MB, tasks {tasks:+.1f}, "
        f"descriptors {descriptors:+.1f} in 10 min; fps drift {drift:.1%}, lag p99 {lag:.0f} ms"
    )
    held = [abs(tasks) < 1, abs(descriptors) < 1]
    if SECONDS[scale] >= RSS_SECONDS:
        held.append(rss < MB_TEN_MINUTES)
    figures = {"rss_mb_10min": rss, "tasks_10min": tasks, "descriptors_10min": descriptors}
    return row(
        "P10",
        TARGET,
        measured,
        held,
        [drift <= DRIFT, lag < LAG_MS],
        seconds=SECONDS[scale],
        drift=drift,
        lag_p99_ms=lag,
        **figures,
    )


def slope(times: Sequence[float], values: Sequence[float]) -> float:
    """Theil-Sen: the median of the slopes of all pairs, in units a second, which a few outliers do not move."""
    at, value = np.asarray(times), np.asarray(values)
    early, late = np.triu_indices(len(at), 1)
    return float(np.median((value[late] - value[early]) / (at[late] - at[early])))


def _rates(times: Sequence[float], since: float, seconds: float) -> tuple[float, float]:
    """Pictures a second in the first and in the last third."""
    third = seconds / 3
    first = sum(since <= at < since + third for at in times)
    last = sum(since + 2 * third <= at < since + seconds for at in times)
    return first / third, last / third


async def _churn(url: str) -> None:
    for number, address in enumerate(loopback_addresses()):
        await visit(url, number, address)
        await asyncio.sleep(CHURN_PERIOD)


async def _change(clients: Sequence[RtcClient]) -> None:
    """Each client's settings, in turn, so often that the server hears SETTINGS_PERIOD."""
    number = 0
    while True:
        for client in clients:
            number += 1
            client.send("settings", {"seed": number, "prompt": ("comic", "warm", "edges")[number % 3]})
            client.messages.clear()
            await asyncio.sleep(SETTINGS_PERIOD)
