"""P4: clients that vanish at every stage of a connection, and the process of a client that is killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import Awaitable, Callable

import aiohttp

from bench.reliability.promise import Row, Scale, row
from bench.reliability.subject import Subject
from tests.fakes.rtc_client import RtcClient

TARGET = "vanished: no painting after 6 s, place free <= 35 s; half-open offer freed <= 16 s"
TIMES = {Scale.FAST: 1, Scale.SHORT: 1, Scale.LONG: 5}  # that each stage is abandoned
STAGE_TIMEOUT = 10.0  # seconds to come to a stage
PATIENCE = 45.0  # seconds for the places to be free again
GPU_IDLE, FREE, HALF_OPEN_FREE = 6.0, 35.0, 16.0
RTC = (160, 120, 15)


async def _answer_unread(client: RtcClient) -> None:
    client.answer = await client.post(await client.offer())


def _until(reached: Callable[[RtcClient], bool]) -> Callable[[RtcClient], Awaitable[None]]:
    async def come_to_it(client: RtcClient) -> None:
        await client.connect()
        async with asyncio.timeout(STAGE_TIMEOUT):
            while not reached(client):
                await asyncio.sleep(0.001)

    return come_to_it


async def _settings_under_way(client: RtcClient) -> None:
    await _until(_has_picture)(client)
    client.send("settings", {"pipeline": "effects"})


def _channel_is_open(client: RtcClient) -> bool:
    return client.channel is not None and client.channel.readyState == "open"


def _has_picture(client: RtcClient) -> bool:
    return bool(client.received)


UNANSWERED = "offer sent"  # see `offer_and_go`
HALF_OPEN = (UNANSWERED, "answer unread", "checking")
STAGES: dict[str, Callable[[RtcClient], Awaitable[None]]] = {
    "answer unread": _answer_unread,
    "checking": _until(lambda client: client.pc.iceConnectionState == "checking"),
    "handshake": _until(lambda client: client.pc.iceConnectionState == "completed"),
    "connected": _until(lambda client: client.pc.connectionState == "connected"),
    "channel open": _until(_channel_is_open),
    "first picture": _until(_has_picture),
    "settings under way": _settings_under_way,
}  # and the eighth, UNANSWERED


async def offer_and_go(url: str) -> None:
    """Post an offer and drop the connection before the answer can come."""
    client = RtcClient(url, *RTC)
    body = json.dumps(await client.offer()).encode()
    host, port = url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = (
        f"POST /offer HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    )
    writer.write(head.encode() + b"\r\n\r\n" + body)
    await writer.drain()
    writer.close()
    await client.vanish()


async def absences(scale: Scale) -> Row:
    times = TIMES[scale]
    async with Subject("identity", max_sessions=8 * times + 2) as server:
        gone: dict[str, tuple[str, float]] = {}  # view_id -> stage, when
        for _ in range(times):
            for stage, come_to_it in STAGES.items():
                client = RtcClient(server.url, *RTC)
                await come_to_it(client)
                await client.vanish()
                gone[client.answer["view_id"]] = stage, time.monotonic()
            await offer_and_go(server.url)
            offered = time.monotonic()
        view_id, killed = await _kill_a_client(server.url)
        gone[view_id] = "killed", killed
        painting, free = await _watch(server, gone, offered)
    slowest: dict[str, float] = {}
    for stage, seconds in free:
        slowest[stage] = max(seconds, slowest.get(stage, 0.0))
    idle = max(painting.values(), default=0.0)
    half_open = max(slowest[stage] for stage in HALF_OPEN)
    whole = max(slowest.values())
    measured = (
        f"{len(gone) + times} gone at 8 stages and by kill -9; painting ended {idle:.1f} s, "
        f"place free {whole:.1f} s, half-open {half_open:.1f} s after"
    )
    held = [idle <= GPU_IDLE, whole <= FREE, half_open <= HALF_OPEN_FREE]
    return row("P4", TARGET, measured, held, free_s=slowest, painting_s=idle)


async def _kill_a_client(url: str) -> tuple[str, float]:
    """Its view_id, and when it was killed, once it had pictures."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.reliability.absences", url, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    async with asyncio.timeout(30):
        view_id = (await process.stdout.readline()).decode().strip()
    process.send_signal(signal.SIGKILL)
    killed = time.monotonic()
    await process.wait()
    return view_id, killed


async def _watch(
    server: Subject, gone: dict[str, tuple[str, float]], offered: float
) -> tuple[dict[str, float], list[tuple[str, float]]]:
    """In seconds since their clients were gone: each session's last painted picture, and with its stage its end.

    Those that nobody knows the name of are of the clients that did not wait for an answer, the last when `offered`.
    """
    painting: dict[str, float] = {}
    ended: dict[str, float] = {}
    painted: dict[str, int] = {}
    nameless = offered
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        view = await server.look()
        now = time.monotonic()
        for view_id, (_, when) in gone.items():
            if view_id not in view.sessions:
                ended.setdefault(view_id, now - when)
            elif painted.get(view_id) != view.painted[view_id]:
                painted[view_id], painting[view_id] = view.painted[view_id], now - when
        if set(view.sessions) - gone.keys():
            nameless = now
        if not view.sessions:
            break
        await asyncio.sleep(0.1)
    free = [(stage, ended.get(view_id, float("inf"))) for view_id, (stage, _) in gone.items()]
    return painting, [*free, (UNANSWERED, nameless - offered)]


async def _stay(url: str) -> None:
    """A client that says who it is and stays until it is killed."""
    async with RtcClient(url, *RTC) as client:
        await client.frames(3)
        sys.stdout.write(client.answer["view_id"] + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(aiohttp.ClientError):
        asyncio.run(_stay(sys.argv[1]))
