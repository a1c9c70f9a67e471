"""P2 and P3: the worker is killed, or hangs; those who are connected stay so, and get their picture back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise
from math import inf

from bench.reliability.promise import Row, Scale, row
from bench.reliability.subject import Subject, View
from tests.fakes.rtc_client import RtcClient

P2_TARGET = "each kill -9: told <= 1 s, gap <= 0.5 s, painted <= 2 s, same connection"
P3_TARGET = "hang told <= 2 s, cleared <= 12 s, gap <= 0.5 s"
KILLS = {Scale.FAST: 2, Scale.SHORT: 5, Scale.LONG: 20}  # of each pipeline
PIPELINES = ("identity", "neural-style")
HANGS = {Scale.FAST: 1, Scale.SHORT: 1, Scale.LONG: 3}
PATIENCE = 20.0  # seconds


async def kills(scale: Scale) -> Row:
    told: list[float] = []
    gaps: list[float] = []
    back: dict[str, list[float]] = {}
    stayed = True
    for pipeline in PIPELINES:
        async with (
            Subject(pipeline) as server,
            RtcClient(server.url, 320, 240, settings={"seed": 9}) as client,
            RtcClient(server.url, 160, 120, fps=10) as other,
        ):
            await client.frames(20)
            for _ in range(KILLS[scale]):
                client.messages.clear()
                before = await server.look()
                killed = time.monotonic()
                server.kill_worker(before)
                await client.message("status", timeout=PATIENCE, state="passthrough")
                told.append(time.monotonic() - killed)
                back.setdefault(pipeline, []).append(await _painted_again(server, killed))
                await client.frames(10)
                gaps.append(_longest_gap(client, killed))
                await server.forget_deaths()
            await other.frames(3)
            stayed &= (client.pc.connectionState, other.pc.connectionState) == ("connected", "connected")
            client.send("get_status", message_id="last")
            status = await client.message("status", id="last")
            stayed &= status["settings"]["seed"] == 9
    painted = ", ".join(f"{name} {max(times):.2f}" for name, times in back.items())
    number = sum(map(len, back.values()))
    measured = f"{number} of {number} back; at most: told {max(told):.2f} s, gap {max(gaps):.2f} s, painted {painted} s"
    in_time = [max(told) <= 1, max(gaps) <= 0.5, *(max(times) <= 2 for times in back.values())]
    return row("P2", P2_TARGET, measured, [stayed], in_time, told_s=told, gaps_s=gaps, painted_s=back, stayed=stayed)


async def hangs(scale: Scale) -> Row:
    told: list[float] = []
    cleared: list[float] = []
    gaps: list[float] = []
    for _ in range(HANGS[scale]):
        async with Subject("fault") as server, RtcClient(server.url, 320, 240) as client:
            await client.until(lambda client=client: client.received[-1:] != [] and client.received[-1].number is None)  # type: ignore[misc]
            await client.frames(20)
            client.messages.clear()
            client.send("settings", {"prompt": "slow 60"}, "hang")
            await client.message("settings_applied", id="hang")
            hung = time.monotonic()
            told.append(await _seconds(lambda client=client: client.message("status", PATIENCE, state="passthrough")))  # type: ignore[misc]
            client.send("settings", {"prompt": "fine"})  # or the next worker would hang as well
            try:
                cleared.append(await _painted_again(server, hung))
            except TimeoutError:
                cleared.append(float("inf"))
            gaps.append(_longest_gap(client, hung))
    measured = (
        f"{len(told)} hangs; at most: told {max(told):.2f} s, cleared {max(cleared):.2f} s, gap {max(gaps):.2f} s"
    )
    in_time = [max(told) <= 2, max(cleared) <= 12, max(gaps) <= 0.5]
    return row("P3", P3_TARGET, measured, [max(cleared) < inf], in_time, told_s=told, cleared_s=cleared, gaps_s=gaps)


async def _painted_again(server: Subject, since: float) -> float:
    """Seconds from `since` until a picture is painted. Raises TimeoutError."""
    before: View = await server.look()
    async with asyncio.timeout(PATIENCE):
        while True:
            view = await server.look()
            if view.all_painted > before.all_painted:
                return time.monotonic() - since
            await asyncio.sleep(0.02)


async def _seconds(work: Callable[[], Awaitable[object]]) -> float:
    """How long it takes; infinite if it is never done."""
    begun = time.monotonic()
    try:
        await work()
    except TimeoutError:
        return float("inf")
    return time.monotonic() - begun


def _longest_gap(client: RtcClient, since: float) -> float:
    """Seconds between two pictures that came after `since` or about then."""
    times = [frame.at for frame in client.received if frame.at > since - 0.2]
    return max(b - a for a, b in pairwise(times))
