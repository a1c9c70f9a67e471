"""What others cost those who are painted: two sessions on two places, undisturbed and disturbed, in turns.

    python -m bench.line [--apart] [--quick] [PIPELINE ...]      pipelines: identity neural-style

`line`: four more wait in line and send 10 frames a second, as the page does there. `stubborn_line`: they send all 30.
`flood`: one of the two sends 1000 settings messages a second; the other is counted.

All send 640x480, those who are painted 30 frames a second. Those in line replay a recording, for on one machine their
encoding would cost the others more than the server does; their receiving is in the figures all the same.

With `--apart` the server has half of the cores and the clients the other half, as if those were machines of their own:
what the server itself spends on the others is left. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from fractions import Fraction
from functools import cache

import av
from av.stream import Stream

from bench.end_to_end import WARM_UP, Server, machine, server
from tests.fakes.rtc_client import TICKS, Camera, RtcClient, camera_pictures
from webrtc_server.media.bitrate import rates
from webrtc_server.rtc.encoder import H264

PLACES = 2
WAITING = 4
WAITING_FPS = 10  # QUEUED_FPS of static/js/client.js
FLOODER = "flooder"  # a client_id
FLOOD = 1000.0  # messages a second
RECORDED = 60  # frames, the first of them a key frame


Disturb = Callable[[list[RtcClient], Server], AbstractAsyncContextManager[list[RtcClient]]]


@cache
def recording(width: int, height: int) -> list[bytes]:
    """A drifting picture, encoded once."""
    sizes = rates(width, height)
    encoder = H264(width, height, sizes.start, sizes.ceiling)
    packets = []
    for number, picture in zip(range(RECORDED), itertools.cycle(camera_pictures(width, height))):
        frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
        frame.pts, frame.time_base = number * 3000, Fraction(1, TICKS)
        packets.append(bytes(encoder.encode(frame, key=number == 0)))
    return packets


class Replay(Camera):
    """The recording over and over, at the camera's rate."""

    async def recv(self) -> av.Packet[Stream]:  # type: ignore[override]
        packets = recording(640, 480)
        if self._begun is None:
            self._begun = time.monotonic()
        await asyncio.sleep(max(0.0, self._begun + self._number / self._fps - time.monotonic()))
        packet = av.Packet(packets[self._number % RECORDED])
        packet.pts, packet.time_base = round(self._number / self._fps * TICKS), Fraction(1, TICKS)
        self._number += 1
        return packet


class Waiting(RtcClient):
    def make_camera(self) -> Camera:
        return Replay(self.width, self.height, self.fps)


async def painted(clients: list[RtcClient], under_test: Server, seconds: float) -> tuple[float, float]:
    """Painted frames a second of each client, on average, and cores that server and worker take."""

    async def counts() -> list[int]:
        for client in clients:
            client.messages.clear()
            client.send("subscribe_stats", {"interval_s": 0.5})
        return [(await client.message("stats", timeout=30))["frames"]["painted"] for client in clients]

    before, begun, cpu = await counts(), time.monotonic(), under_test.cpu_seconds()
    await asyncio.sleep(seconds)
    after, elapsed, used = await counts(), time.monotonic() - begun, under_test.cpu_seconds() - cpu
    return (sum(after) - sum(before)) / elapsed / len(clients), used / elapsed


def line(running: list[RtcClient], under_test: Server) -> AbstractAsyncContextManager[list[RtcClient]]:
    return in_line(running, under_test, WAITING_FPS)


def stubborn_line(running: list[RtcClient], under_test: Server) -> AbstractAsyncContextManager[list[RtcClient]]:
    return in_line(running, under_test, 30)


@asynccontextmanager
async def in_line(running: list[RtcClient], under_test: Server, fps: float) -> AsyncIterator[list[RtcClient]]:
    """WAITING more in line; the clients that count."""
    async with AsyncExitStack() as stack:
        for _ in range(WAITING):
            client = await stack.enter_async_context(Waiting(under_test.url, codec="video/H264", fps=fps))
            await client.message("status", timeout=30, state="queued")
        await asyncio.sleep(WARM_UP)
        yield running


@asynccontextmanager
async def flood(running: list[RtcClient], under_test: Server) -> AsyncIterator[list[RtcClient]]:
    """A process of its own takes the first one's place over, and floods; the others count."""
    command = [sys.executable, "-m", "bench.line", "--flood", under_test.url]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert process.stdout
    await process.stdout.readline()
    try:
        yield running[1:]
    finally:
        process.kill()
        await process.communicate()
        await running[0].close()
        running[0] = RtcClient(under_test.url, client_id=FLOODER)
        await running[0].connect()
        await running[0].message("status", timeout=60, state="running")
        await asyncio.sleep(WARM_UP)


async def send_flood(url: str) -> None:
    async with RtcClient(url, client_id=FLOODER) as client:
        await client.message("status", timeout=60, state="running")
        sys.stdout.write("floods\n")
        sys.stdout.flush()
        begun = time.monotonic()
        for number in itertools.count(1):
            client.send("settings", {"seed": number})
            await asyncio.sleep(max(0.0, begun + number / FLOOD - time.monotonic()))


@asynccontextmanager
async def subject(pipeline: str, apart: bool) -> AsyncIterator[Server]:
    """A server with PLACES; `apart`: on half of the cores, and this process from then on the other half."""
    cores = sorted(os.sched_getaffinity(0)) if apart else []
    if apart:
        os.sched_setaffinity(0, cores[: len(cores) // 2])  # what is started inherits it
    try:
        async with server(pipeline, PLACES) as under_test:
            if apart:
                os.sched_setaffinity(0, cores[len(cores) // 2 :])
            yield under_test
    finally:
        if apart:
            os.sched_setaffinity(0, cores)


async def case(pipeline: str, disturb: Disturb, apart: bool, seconds: float, rounds: int) -> str:
    alone, beside, cores_alone, cores_beside = [], [], [], []
    recording(640, 480)  # now, and not while somebody is counted
    async with subject(pipeline, apart) as under_test, AsyncExitStack() as stack:
        running = [RtcClient(under_test.url, client_id=name) for name in (FLOODER, "other")]
        stack.push_async_callback(lambda: asyncio.gather(*(client.close() for client in running)))
        for client in running:
            await client.connect()
            await client.message("status", timeout=60, state="running")
        await asyncio.sleep(WARM_UP)
        for _ in range(rounds):
            fps, cores = await painted(running, under_test, seconds)
            alone.append(fps)
            cores_alone.append(cores)
            async with disturb(running, under_test) as counted:
                fps, cores = await painted(counted, under_test, seconds)
                beside.append(fps)
                cores_beside.append(cores)
    before, after = statistics.median(alone), statistics.median(beside)
    return (
        f"| {pipeline}, {disturb.__name__} | {before:.1f} | {after:.1f} | {after / before:.0%} | "
        f"{statistics.median(cores_alone):.2f} | {statistics.median(cores_beside):.2f} |\n"
    )


async def run(pipelines: list[str], apart: bool, quick: bool) -> None:
    sys.stdout.write(f"{machine()}{', apart' if apart else ''}\n\n")
    sys.stdout.write("| case | painted fps of each | disturbed | left | server's cores | disturbed |\n")
    sys.stdout.write("|---|---|---|---|---|---|\n")
    for pipeline, disturb in itertools.product(pipelines, (line, stubborn_line, flood)):
        sys.stdout.write(await case(pipeline, disturb, apart, *((2, 1) if quick else (8, 3))))
        sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pipelines", nargs="*", default=["identity", "neural-style"], metavar="PIPELINE")
    parser.add_argument("--apart", action="store_true", help="server and clients on cores of their own")
    parser.add_argument("--quick", action="store_true", help="a few seconds each, to see that it works")
    parser.add_argument("--flood", metavar="URL", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    asyncio.run(
        send_flood(arguments.flood) if arguments.flood else run(arguments.pipelines, arguments.apart, arguments.quick)
    )


if __name__ == "__main__":
    main()
