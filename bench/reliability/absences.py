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
STAGE_TIMEOUT, STAGE_TICK = 20.0, 0.002  # seconds to come to a stage
PATIENCE = 45.0  # seconds for the places to be free again
GPU_IDLE, FREE, HALF_OPEN_FREE = 6.0, 35.0, 16.0
RTC = (160, 120, 15)


async def _answer_unread(client: RtcClient) -> None:
    client.answer = await client.post(await client.offer())


def _until(reached: Callable[[RtcClient], bool]) -> Callable[[RtcClient], Awaitable[None]]:
    async def come_to_it(client: RtcClient) -> None:
        await client.connect()
        for _ in range(int(STAGE_TIMEOUT / STAGE_TICK)):  # a stage may last for a millisecond, and gives no event
            if reached(client):
                return
            await asyncio.sleep(STAGE_TICK)
        raise TimeoutError("a stage was not come to")

    return come_to_it


async def _settings_under_way(client: RtcClient) -> None:
    await _until(lambda client: _has_picture(client) and _channel_is_open(client))(client)
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


class _Watch:
    """When each session painted its last picture, and when it ended."""

    def __init__(self) -> None:
        self.painted_last: dict[str, float] = {}
        self.ended: dict[str, float] = {}
        self._painted: dict[str, int] = {}

    async def until_all_are_gone(self, server: Subject, begun: asyncio.Event) -> None:
        """Once `begun`. Raises TimeoutError."""
        deadline = float("inf")
        while True:
            view = await server.look()
            now = time.monotonic()
            for view_id, painted in view.painted.items():
                if self._painted.get(view_id) != painted:
                    self._painted[view_id], self.painted_last[view_id] = painted, now
            for view_id in self._painted.keys() - view.painted.keys() - self.ended.keys():
                self.ended[view_id] = now
            if begun.is_set():
                deadline = min(deadline, now + PATIENCE)
                if not view.sessions:
                    return
            if now > deadline:
                raise TimeoutError(f"{len(view.sessions)} sessions never ended")
            await asyncio.sleep(0.1)


async def absences(scale: Scale) -> Row:
    times = TIMES[scale]
    slowest: dict[str, float] = {}
    idle, count = 0.0, 0
    async with Subject("identity", max_sessions=10) as server:
        for _ in range(times):  # each time all are gone first: so many half-open ones at once are refused
            for stage, free, painting in await _abandon_each_stage(server):
                slowest[stage] = max(free, slowest.get(stage, 0.0))
                idle = max(idle, painting)
                count += 1
    half_open = max(slowest.get(stage, 0.0) for stage in HALF_OPEN)
    whole = max(slowest.values())
    measured = (
        f"{count} gone at 8 stages and by kill -9; painting ended {idle:.1f} s, "
        f"place free {whole:.1f} s, half-open {half_open:.1f} s after"
    )
    in_time = [idle <= GPU_IDLE, whole <= FREE, half_open <= HALF_OPEN_FREE]
    return row("P4", TARGET, measured, [], in_time, free_s=slowest, painting_s=idle)


async def _abandon_each_stage(server: Subject) -> list[tuple[str, float, float]]:
    """Of each client the stage it left at, and the seconds until its place was free, and until its last painting."""
    gone: dict[str, tuple[str, float]] = {}  # view_id -> stage, when
    watch, all_gone = _Watch(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(watch.until_all_are_gone(server, all_gone))
        for stage, come_to_it in STAGES.items():
            client = RtcClient(server.url, *RTC)
            await come_to_it(client)
            gone[client.answer["view_id"]] = stage, time.monotonic()
            await client.vanish()
        await offer_and_go(server.url)
        offered = time.monotonic()  # of the one whose name nobody knows
        view_id, killed = await _kill_a_client(server.url)
        gone[view_id] = "killed", killed
        all_gone.set()
    found = []
    for view_id, ended in watch.ended.items():
        stage, when = gone.get(view_id, (UNANSWERED, offered))
        painting = watch.painted_last.get(view_id, when) - when if view_id in gone else 0.0
        found.append((stage, ended - when, painting))
    return found


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
