"""P7: loss both ways, reordering and duplicates, a narrow link, five seconds of nothing; the picture goes on and comes
back.

`python -m bench.reliability.loss PERCENT` is one stream where the kernel loses as much, see tests/chaos/netns.sh.
"""

from __future__ import annotations

import asyncio
import os
import sys
from itertools import pairwise

from bench.reliability.promise import Row, Scale, row
from bench.reliability.subject import Subject
from run import ROOT
from tests.fakes.link import Conditions
from tests.fakes.rtc_client import RtcClient

TARGET = ">= 95 % of fps at 2 %, >= 75 % at 5-10 %, alive at 20 %, no gap > 3 s; back <= 5 s after a blackout of 5 s"
FPS = 20
LEAST = {2: 0.95, 5: 0.75, 10: 0.75, 20: 0.0}  # percent lost each way -> share of the frames a second without loss
SECONDS = {Scale.FAST: 3, Scale.SHORT: 6, Scale.LONG: 30}
LONGEST_GAP = 3.0  # seconds
BLACKOUT, BACK = 5.0, 5.0  # seconds
SKIPPED = 77  # exit code of netns.sh
NARROW = Conditions(rate=500_000)  # each way
NARROW_SECONDS = 8.0  # at least: it takes both encoders some to find the rate
UNTIDY = Conditions(loss=0.03, delay=(0.04, 0.07), duplicates=0.01)


async def loss(scale: Scale) -> Row:
    seconds = SECONDS[scale]
    async with Subject("identity") as server:
        rates = {0: min(float(FPS), (await _stream(server.url, Conditions(), seconds))[0])}
        gaps: dict[str, float] = {}
        shares = []
        for percent, least in LEAST.items():
            fps, gaps[f"{percent} %"] = await _stream(server.url, Conditions(loss=percent / 100), seconds)
            rates[percent] = fps
            shares.append(fps >= least * rates[0])
        untidy, gaps["untidy"] = await _stream(server.url, UNTIDY, seconds)
        narrow, gaps["500 kbit/s"] = await _stream(server.url, NARROW, max(NARROW_SECONDS, seconds), (640, 480))
        back = await _blackout(server.url) if scale > Scale.FAST else 0.0
    by_kernel = {percent: await _in_a_namespace(percent) for percent in LEAST} if scale == Scale.LONG else {}
    facts = [min(rates.values()) > 0, narrow > 0, *(code in (0, SKIPPED) for code in by_kernel.values())]
    times = [*shares, untidy >= 0.75 * rates[0], max(gaps.values()) <= LONGEST_GAP, back <= BACK]
    told = ", ".join(f"{percent} % {fps:.1f}" for percent, fps in rates.items())
    measured = f"fps at loss {told}; with delay, reordering and duplicates {untidy:.1f}, at 500 kbit/s {narrow:.1f}; "
    measured += f"longest gap {max(gaps.values()):.2f} s; back {back:.1f} s after the blackout"
    if by_kernel:
        words = {0: "kept", SKIPPED: "not run"}
        measured += "; lost by the kernel " + ", ".join(f"{p} % {words.get(c, 'missed')}" for p, c in by_kernel.items())
    return row(
        "P7", TARGET, measured, facts, times, fps=rates, untidy_fps=untidy, narrow_fps=narrow, gaps_s=gaps, back_s=back
    )


async def _stream(
    url: str, conditions: Conditions, seconds: float, size: tuple[int, int] = (320, 240)
) -> tuple[float, float]:
    """Different pictures a second, and the longest time between two."""
    async with RtcClient(url, *size, fps=FPS, repairs=True) as client:
        await client.frames(FPS)
        client.link.conditions = conditions
        begin = len(client.received)
        await asyncio.sleep(seconds)
        first: dict[int, float] = {}
        for frame in client.received[begin:]:
            if frame.number is not None:
                first.setdefault(frame.number, frame.at)
        times = sorted(first.values())
        gap = max((b - a for a, b in pairwise(times)), default=seconds)
        assert client.pc.connectionState == "connected"
        return len(times) / seconds, gap


async def _blackout(url: str) -> float:
    """Seconds until new pictures come again once there is a network again; infinite if they do not."""
    async with RtcClient(url, 320, 240, fps=FPS, repairs=True) as client:
        await client.frames(FPS)
        client.link.cut()
        await asyncio.sleep(BLACKOUT)
        client.link.mend()
        newest = max(client.camera.sent)
        begun = asyncio.get_running_loop().time()
        try:
            await client.until(lambda: (client.received[-1].number or 0) > newest, timeout=3 * BACK)
        except TimeoutError:
            return float("inf")
        return asyncio.get_running_loop().time() - begun


async def _in_a_namespace(percent: int) -> int:
    """The exit code of the script, SKIPPED where this machine cannot do it."""
    process = await asyncio.create_subprocess_exec(
        str(ROOT / "tests/chaos/netns.sh"), str(percent), env=os.environ | {"PYTHON": sys.executable}
    )
    async with asyncio.timeout(120):
        return await process.wait()


async def _lost_by_the_kernel(percent: int) -> bool:
    async with Subject("identity") as server:
        fps, gap = await _stream(server.url, Conditions(), SECONDS[Scale.SHORT])
    least = next(share for limit, share in LEAST.items() if percent <= limit) * FPS
    print(f"{percent} % lost by the kernel: {fps:.1f} of {FPS} fps, at least {least:.0f}; longest gap {gap:.2f} s")
    return fps >= least and gap <= LONGEST_GAP


if __name__ == "__main__":
    sys.exit(not asyncio.run(_lost_by_the_kernel(int(sys.argv[1]))))
