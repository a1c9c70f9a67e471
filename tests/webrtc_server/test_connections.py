"""Connections: how many there may be, how long one may take to say what it wants, and what nobody hears of."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import pytest

from tests.conftest import StartServer
from tests.fakes.rtc_client import RtcClient, end
from tests.fakes.server import RunningServer
from webrtc_server.limits import CONNECTIONS, CONNECTIONS_PER_ADDRESS, HEADERS_TIMEOUT
from webrtc_server.web import connections

HALF = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
WHOLE = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
STALLED = b"POST /offer HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"


class Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def is_served(self) -> bool:
        """Whether a request on it is answered."""
        try:
            await self.send(WHOLE)
            return (await asyncio.wait_for(self.reader.read(12), 5)) == b"HTTP/1.1 200"
        except ConnectionError:
            return False

    async def ended(self) -> None:
        """It was ended by the server. Raises TimeoutError."""
        try:
            while await asyncio.wait_for(self.reader.read(4096), HEADERS_TIMEOUT + 5):
                pass
        except ConnectionError:
            pass


@asynccontextmanager
async def connected(server: RunningServer) -> AsyncIterator[Connection]:
    host, port = server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()
        try:
            await writer.wait_closed()
        except ConnectionError:
            pass


async def test_no_more_than_there_is_room_for(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with AsyncExitStack() as stack:
        inside = [await stack.enter_async_context(connected(server)) for _ in range(CONNECTIONS)]
        assert await inside[-1].is_served()
        async with connected(server) as one_more:
            assert not await one_more.is_served()
        assert await inside[0].is_served()
    async with asyncio.timeout(5):
        while True:
            async with connected(server) as afterwards:
                if await afterwards.is_served():
                    break


async def test_an_address_has_its_share(start_server: StartServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "LOOPBACK", "no such place")  # so that these count as one address elsewhere
    server = await start_server("identity")
    async with AsyncExitStack() as stack:
        inside = [await stack.enter_async_context(connected(server)) for _ in range(CONNECTIONS_PER_ADDRESS)]
        assert await inside[-1].is_served()
        async with connected(server) as one_more:
            assert not await one_more.is_served()


async def test_those_of_a_named_proxy_are_many_peoples(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "LOOPBACK", "no such place")
    server = await start_server("identity", trusted_proxies="127.0.0.0/8")
    async with AsyncExitStack() as stack:
        for _ in range(CONNECTIONS_PER_ADDRESS):
            await stack.enter_async_context(connected(server))
        async with connected(server) as one_more:
            assert await one_more.is_served()


@pytest.mark.slow
async def test_half_sent_requests_are_gone_in_time_and_nobody_else_notices(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with RtcClient(server.url, 320, 240) as client, AsyncExitStack() as stack:
        begun = time.monotonic()
        half = [await stack.enter_async_context(connected(server)) for _ in range(50)]
        silent, stalled, second = [await stack.enter_async_context(connected(server)) for _ in range(3)]
        for connection in half:
            await connection.send(HALF)
        await stalled.send(STALLED)
        assert await second.is_served()
        await second.send(HALF)  # behind a request that was whole
        waits: list[float] = []

        async def health() -> None:
            async with aiohttp.ClientSession(server.url) as http:
                while True:
                    asked = time.monotonic()
                    async with http.get("/healthz") as response:
                        assert response.status == 200
                    waits.append(time.monotonic() - asked)
                    await asyncio.sleep(0.1)

        asking = asyncio.create_task(health())
        dripping = asyncio.create_task(_drip(half[0]))
        await asyncio.gather(*(connection.ended() for connection in (*half[1:], silent, second, stalled)))
        with pytest.raises(ConnectionError):
            await dripping
        assert time.monotonic() - begun < 15
        await end(asking)
        waits.sort()
        assert waits[len(waits) // 2] < 0.2
        await client.frames(10)


async def _drip(connection: Connection) -> None:
    """A byte now and then does not buy time."""
    while True:
        await connection.send(b"x")
        await asyncio.sleep(0.5)


async def test_what_is_no_http_is_answered_and_not_logged(
    start_server: StartServer, caplog: pytest.LogCaptureFixture
) -> None:
    server = await start_server("identity")
    for junk in (b"\x16\x03\x01\r\n\r\n", b"GET / HTTP/1.1\r\nAuthorization : Bearer hush-hush\r\n\r\n"):
        async with connected(server) as connection:
            await connection.send(junk)
            assert (await connection.reader.read(12)) == b"HTTP/1.0 400"
    assert "hush" not in caplog.text
    assert "Error handling" not in caplog.text
