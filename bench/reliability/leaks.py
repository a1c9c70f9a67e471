"""P1: connections come and go, over /offer and /ws, and the server holds what it held before."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import time
from collections.abc import Iterator
from statistics import median

from PIL import Image
from websockets.asyncio.client import connect

from bench.reliability.promise import Row, Scale, row
from bench.reliability.subject import Subject, View
from tests.fakes.rtc_client import RtcClient

TARGET = "0 tasks, threads, descriptors, objects, shared memory left; RSS < 10 kB a connect"
CONNECTS = {Scale.FAST: 50, Scale.SHORT: 100, Scale.LONG: 500}
WARM_UP = 10  # connects after which what is made once is there
STARTS_AN_ADDRESS = 10  # connections from one address, which the server may limit
PATIENCE = 10.0  # seconds for sessions to end
RSS_KB = 10  # a connect, over the second half; told, and held to where there are enough of them to tell
RSS_CONNECTS = 500


async def leaks(scale: Scale) -> Row:
    count = CONNECTS[scale]
    async with Subject("identity", max_sessions=4) as server:
        addresses = loopback_addresses()
        for number in range(WARM_UP):
            await visit(server.url, number, next(addresses))
        before = await settled(server)
        spent, middle = [], before
        for number in range(count):
            begun = time.monotonic()
            await visit(server.url, number, next(addresses))
            spent.append(time.monotonic() - begun)
            if number == count // 2:
                middle = await settled(server)
        after = await settled(server)
    left = {name: getattr(after, name) - getattr(before, name) for name in ("tasks", "threads", "descriptors")}
    left |= {"shared_memory": after.shared_memory - before.shared_memory, "objects": after.objects - before.objects}
    kilobytes = (after.rss_mb - middle.rss_mb) * 1024 / (count / 2)
    held = [amount <= 0 for amount in left.values()]
    if count >= RSS_CONNECTS:
        held.append(kilobytes < RSS_KB)
    told = ", ".join(f"{name} {amount:+d}" for name, amount in left.items())
    measured = f"{count} connects of {median(spent) * 1000:.0f} ms: {told}, RSS {kilobytes:+.1f} kB each"
    return row("P1", TARGET, measured, held, connects=count, left=left, rss_kb_each=kilobytes)


async def visit(url: str, number: int, address: str) -> None:
    """Connect, have pictures, change settings, leave. Every other one over /ws."""
    if number % 2:
        await _visit_ws(url, address)
        return
    client = RtcClient(url, 160, 120, fps=30, address=address)
    async with client:
        await client.frames(2)
        await client.message("status")  # the channel is open
        client.send("settings", {"seed": number}, "s")
        await client.message("settings_applied", id="s")


async def _visit_ws(url: str, address: str) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (160, 120), (200, 100, 50)).save(picture, "JPEG")
    async with connect(url.replace("http", "ws") + "/ws", local_addr=(address, 0)) as socket, asyncio.timeout(10):
        await socket.send(json.dumps({"type": "settings", "data": {"seed": 7}, "id": "s"}))
        await socket.send(picture.getvalue())
        while not isinstance(await socket.recv(), bytes):
            pass


def loopback_addresses() -> Iterator[str]:
    for number in itertools.count():
        net, host = divmod(number // STARTS_AN_ADDRESS, 250)
        yield f"127.0.{net % 250 + 1}.{host + 1}"


async def settled(server: Subject) -> View:
    """Once no session is left and the number of tasks has come to rest."""
    view = await server.look(collect=True)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        await asyncio.sleep(0.3)
        last, view = view, await server.look(collect=True)
        if not view.sessions and not view.objects and (view.tasks, view.descriptors) == (last.tasks, last.descriptors):
            break
    return view
