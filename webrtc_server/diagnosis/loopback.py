"""A server in a child process and a client here, on this machine: how many pictures come back, and how late."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
import time
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.request import ProxyHandler, build_opener

from webrtc_server.client import Pictures, Session, connect
from webrtc_server.config import Config
from webrtc_server.diagnosis import scene
from webrtc_server.diagnosis.figures import EndToEnd, Times, latencies
from webrtc_server.rtc import patches

LISTEN_TIMEOUT = 60.0  # seconds until the server listens
READY_TIMEOUT = 600.0  # seconds until it has painted a frame; a model may be fetched in it
POLL = 0.2  # seconds between questions whether it is ready
READY_ANSWER = 2.0  # seconds for an answer to one
STOP_TIMEOUT = 15.0  # seconds for the server to end by itself
WARM_UP = 3.0  # seconds of the session that are not counted: codecs and rates settle
LOOK_EVERY = 0.05  # seconds between looks at the time


class ServerFailed(Exception):
    """The child did not come to serve; the text says how far it came. Its own words are on standard error."""


async def measure(
    config: Config, pipeline: str, settings: dict[str, object], seconds: float, passed: Callable[[float], None]
) -> tuple[EndToEnd, str]:
    """The figures, and the device that painted. Raises ServerFailed, ConnectionLost, ServerError."""
    patches.offer_loopback()  # a machine without a network has no other address
    async with _server(pipeline) as url:
        camera = Pictures()
        async with connect(url, camera, settings=settings, token=config.owner_token or None) as session:
            return await _watched(session, camera, seconds, passed), str(session.status.get("device") or "")


@contextlib.asynccontextmanager
async def _server(pipeline: str) -> AsyncIterator[str]:
    """The address of a server with this process's configuration but for what must differ."""
    flags = ("--host", "127.0.0.1", "--port", "0", "--pipeline", pipeline, "--tls", "off", "--log-level", "warning")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "webrtc_server", "serve", *flags),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    try:
        url = await _address(process.stdout)
        draining = asyncio.create_task(process.stdout.read())  # so that it never waits for a reader
        try:
            await _until_ready(url, process)
            yield url
        finally:
            draining.cancel()
    finally:
        await _end(process)


async def _address(output: asyncio.StreamReader) -> str:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LISTEN_TIMEOUT):
            while line := await output.readline():
                if found := re.search(rb"listening on (http://\S+)", line):
                    return found[1].decode()
    raise ServerFailed("the server did not begin to listen")


async def _until_ready(url: str, process: asyncio.subprocess.Process) -> None:
    until = time.monotonic() + READY_TIMEOUT
    while time.monotonic() < until:
        if await asyncio.to_thread(_is_ready, url):
            return
        if process.returncode is not None:
            raise ServerFailed(f"the server ended with code {process.returncode}")
        await asyncio.sleep(POLL)
    raise ServerFailed(f"the server painted nothing in {READY_TIMEOUT:.0f} s")


def _is_ready(url: str) -> bool:
    try:
        with build_opener(ProxyHandler({})).open(f"{url}/readyz", timeout=READY_ANSWER) as answer:
            return bool(answer.status == 200)
    except OSError:  # 503 is one
        return False


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_TIMEOUT):
                await process.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _watched(session: Session, camera: Pictures, seconds: float, passed: Callable[[float], None]) -> EndToEnd:
    flips: list[tuple[float, bool]] = []
    seen: list[tuple[float, float]] = []
    painted: list[tuple[float, int]] = []
    await asyncio.to_thread(scene.prepare)  # now, and not while time is taken
    await session.request("subscribe_stats", {"interval_s": 0.5})
    begin = time.monotonic() + WARM_UP
    filming = asyncio.create_task(_film(camera, flips), name="camera")
    watching = asyncio.create_task(_watch(session, seen, painted), name="screen")
    try:
        while (now := time.monotonic()) < begin + seconds:
            passed(max(0.0, now - begin))
            done, _ = await asyncio.wait((filming, watching), timeout=LOOK_EVERY)
            for ended in done:
                ended.result()  # neither ends but by an error
    finally:
        for task in (filming, watching):
            task.cancel()
        await asyncio.gather(filming, watching, return_exceptions=True)
    counted = [(at, value) for at, value in seen if at >= begin]
    late = latencies([flip for flip in flips if flip[0] >= begin], seen)
    since = [(at, number) for at, number in painted if at >= begin]
    fps = (since[-1][1] - since[0][1]) / (since[-1][0] - since[0][0]) if len(since) > 1 else 0.0
    return EndToEnd(
        fps=round(fps, 1),
        received_fps=round(len(counted) / seconds, 1),
        latency=Times.of(late) if late else None,
        server=_server_times(session.stats),
    )


def _server_times(stats: dict[str, Any]) -> dict[str, Times]:
    """Of the last frames, as the message `stats` has them."""
    return {
        name: Times(p50=round(times["p50"], 2), p95=round(times["p95"], 2), count=stats["frames"]["painted"])
        for name, times in stats.get("stages_ms", {}).items()
        if times["p50"] is not None
    }


async def _film(camera: Pictures, flips: list[tuple[float, bool]]) -> None:
    """Show the scene at its rate; note each picture that is the first light or dark one."""
    begun, was_light, number = time.monotonic(), True, 0
    while True:
        now = time.monotonic()
        light = scene.is_light(now - begun)
        frame = scene.picture(number % scene.PERIOD, light)
        if light is not was_light:
            flips.append((time.monotonic(), light))
            was_light = light
        camera.show_frame(frame)
        number += 1
        await asyncio.sleep(max(0.0, begun + number / scene.FPS - time.monotonic()))


async def _watch(session: Session, seen: list[tuple[float, float]], painted: list[tuple[float, int]]) -> None:
    told: object = None
    while True:
        frame = await session.frame()
        now = time.monotonic()
        seen.append((now, scene.brightness(frame)))
        if session.stats and session.stats is not told:  # none have been told at first
            told = session.stats
            painted.append((now, session.stats["frames"]["painted"]))
