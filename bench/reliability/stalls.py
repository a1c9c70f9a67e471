"""P5: the worst single requests that are let in or turned away, and how long each holds the event loop."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Awaitable, Callable

import aiohttp
import numpy as np
from PIL import Image
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from bench.reliability.leaks import loopback_addresses
from bench.reliability.promise import Row, Scale, row
from bench.reliability.subject import Subject
from tests.fakes.rtc_client import RtcClient
from webrtc_server import limits

TARGET = "no single request holds the event loop > 250 ms"
LIMIT_MS = 250.0
TRIES = {Scale.FAST: 2, Scale.SHORT: 3, Scale.LONG: 5}  # the shortest stall counts: a busy machine stalls by itself
SETTLE = 0.3  # seconds after an answer that still count as the request's

Request = Callable[[str, str], Awaitable[None]]  # server's URL, client's address


def _post(make: Callable[[str], bytes]) -> Request:
    """An offer whose body is made from the SDP of a good one."""

    async def request(url: str, address: str) -> None:
        client = RtcClient(url, 320, 240)
        sdp = str((await client.offer())["sdp"])
        try:
            connector = aiohttp.TCPConnector(local_addr=(address, 0))
            headers = {"Content-Type": "application/json"}
            async with (
                aiohttp.ClientSession(connector=connector) as http,
                http.post(f"{url}/offer", data=make(sdp), headers=headers) as response,
            ):
                await response.read()
        finally:
            await client.close()

    return request


def _as_offer(sdp: str) -> bytes:
    return json.dumps({"sdp": sdp, "type": "offer"}).encode()


def _filled(sdp: str, line: str, count: int) -> str:
    """With more lines in its first media section, as far as the limit of the whole goes."""
    lines = "".join(line.format(number) + "\r\n" for number in range(count))
    return (sdp + lines)[: limits.SDP_BYTES - 100].rsplit("\r\n", 1)[0] + "\r\n"


def _ws(payload: Callable[[], bytes | str]) -> Request:
    async def request(url: str, address: str) -> None:
        ws = url.replace("http", "ws") + "/ws"
        try:
            async with connect(ws, local_addr=(address, 0), max_size=2**24) as socket, asyncio.timeout(10):
                await socket.recv()
                await socket.send(payload())
                await socket.recv()
        except (ConnectionClosed, TimeoutError):
            pass  # it was told to go, or is told nothing

    return request


def _picture(width: int, height: int, kind: str) -> bytes:
    noise = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, kind)
    return file.getvalue()


REQUESTS: dict[str, Request] = {
    "offer": _post(_as_offer),
    "offer full of ssrc lines": _post(lambda sdp: _as_offer(_filled(sdp, "a=ssrc:{} cname:x", 5000))),
    "offer with the ssrc lines allowed": _post(
        lambda sdp: _as_offer(_filled(sdp, "a=ssrc:{} cname:x", limits.SDP_SSRC_LINES - 8))
    ),
    "offer full of candidates": _post(
        lambda sdp: _as_offer(_filled(sdp, "a=candidate:{0} 1 udp 2130706431 10.9.8.7 {0} typ host", 5000))
    ),
    "offer full of codecs": _post(lambda sdp: _as_offer(_filled(sdp, "a=rtpmap:{} VP8/90000", 5000))),
    "offer full of attributes": _post(lambda sdp: _as_offer(_filled(sdp, "a=x-{}:y", 10_000))),
    "body of the largest size, no JSON": _post(lambda sdp: b"[" * (limits.OFFER_BYTES - 1)),
    "settings of the largest size": _ws(
        lambda: json.dumps({"type": "settings", "data": {"prompt": "x" * (limits.JSON_BYTES - 100)}})
    ),
    "deeply nested JSON": _ws(lambda: "[" * (limits.JSON_BYTES - 1)),
    "number of many digits": _ws(lambda: '{"type": "ping", "data": {"t": ' + "9" * (limits.JSON_BYTES - 100) + "}}"),
    "PNG of 1920x1080, noise": _ws(lambda: _picture(1920, 1080, "PNG")),
    "PNG of 9400x9400, one colour": _ws(lambda: _one_colour(9400)),
}


def _one_colour(side: int) -> bytes:
    file = io.BytesIO()
    Image.new("1", (side, side)).save(file, "PNG")
    return file.getvalue()


async def stalls(scale: Scale) -> Row:
    addresses = loopback_addresses()
    longest: dict[str, float] = {}
    async with Subject("identity", max_sessions=100) as server:
        for name, request in REQUESTS.items():
            tries = []
            for _ in range(TRIES[scale]):
                await server.look()
                await request(server.url, next(addresses))
                await asyncio.sleep(SETTLE)
                tries.append((await server.look()).lag_max_ms)
            longest[name] = min(tries)
    worst = max(longest, key=longest.__getitem__)
    measured = f"{len(longest)} kinds of request, at most {longest[worst]:.0f} ms ({worst})"
    return row("P5", TARGET, measured, [], [longest[worst] <= LIMIT_MS], stalls_ms=longest)
