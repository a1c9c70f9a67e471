"""The server on HTTPS: what travels encrypted, what plain HTTP is told, and connections that never get so far."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
from websockets.asyncio.client import connect

from tests.conftest import StartServer
from tests.fakes.server import RunningServer
from tests.webrtc_server.test_connections import WHOLE, Connection
from tests.webrtc_server.test_websocket import Client, as_file, scene
from webrtc_server.limits import HEADERS_TIMEOUT
from webrtc_server.web import connections, tls, tls_site
from webrtc_server.web.tls_site import plain_answer

GET = b"GET /view/x?stats=1 HTTP/1.1\r\nHost: phone.test:8000\r\n\r\n"
ANSWERED = b"HTTP/1.1 200"


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    return tls.own_certificate(tmp_path / "state", ["localhost", "127.0.0.1"])


@pytest.fixture
def trusting(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificate[0])


@pytest.fixture
async def server(start_server: StartServer, certificate: tuple[Path, Path]) -> RunningServer:
    return await start_server("identity", tls=f"{certificate[0]},{certificate[1]}")


@asynccontextmanager
async def connected(server: RunningServer) -> AsyncIterator[Connection]:
    """A connection of TCP, without TLS."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
    try:
        yield Connection(reader, writer)
    finally:
        writer.transport.abort()


class Handshake:
    """A client's half of TLS as bytes, so that a test can cut them as a network may."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname="localhost")

    def hello(self) -> bytes:
        with pytest.raises(ssl.SSLWantReadError):
            self._tls.do_handshake()
        return self._out.read()

    async def finish_with(self, request: bytes, connection: Connection) -> bytes:
        """The last of the handshake and `request` in one packet; the beginning of the answer."""
        async with asyncio.timeout(10):
            while True:
                try:
                    self._tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    await self._hear(connection)
            self._tls.write(request)
            await connection.send(self._out.read())
            while True:
                try:
                    return self._tls.read(len(ANSWERED))
                except ssl.SSLWantReadError:
                    await self._hear(connection)

    async def _hear(self, connection: Connection) -> None:
        if not (data := await connection.reader.read(65536)):
            raise ConnectionError("the server ended it")
        self._in.write(data)


async def test_the_page_and_pictures_travel_encrypted(server: RunningServer, trusting: ssl.SSLContext) -> None:
    async with aiohttp.ClientSession(server.url) as http:
        async with http.get("/", ssl=trusting) as response:
            assert "<title>Live Diffusion</title>" in await response.text()
            assert "Strict-Transport-Security" not in response.headers  # it would be about all ports of the name
        async with http.get("/static/js/main.js", ssl=trusting) as response:
            assert len(await response.read()) > 1000
        own, foreign = {"Origin": server.url}, {"Origin": "https://evil.example"}
        for headers, status in ((own, 400), (foreign, 403), (own | {"Host": "evil.example"}, 403)):
            async with http.post("/offer", json={}, headers=headers, ssl=trusting) as response:
                assert response.status == status
    async with connect(server.url.replace("http", "ws") + "/ws", ssl=trusting, max_size=2**24) as socket:
        await socket.send(as_file(scene()))
        _, picture = await Client(socket).picture()
        assert picture.size == (320, 240)
    async with connected(server) as plain:
        await plain.send(GET)
        assert (await plain.reader.read()).startswith(b"HTTP/1.1 307 ")


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (GET, b"307 Temporary Redirect\r\nLocation: https://phone.test:8000/view/x?stats=1\r\n"),
        (
            b"HEAD / HTTP/1.0\r\nAccept: a\r\nhost:[::1]\r\n\r\n",
            b"307 Temporary Redirect\r\nLocation: https://[::1]/\r\n",
        ),
        (b"POST / HTTP/1.1\r\nHost: phone.test\r\n\r\n", b"400 Bad Request\r\n"),
        (b"GET / HTTP/1.1\r\nHost: phone.test", b"400 Bad Request\r\n"),
        (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", b"400 Bad Request\r\n"),
        (b"GET / HTTP/1.1\r\nHost: a\tb\r\n\r\n", b"400 Bad Request\r\n"),
        (b"GET http://evil.example/ HTTP/1.1\r\nHost: a\r\n\r\n", b"400 Bad Request\r\n"),
        (b"GET /" + b"x" * 8192 + b" HTTP/1.1\r\nHost: a\r\n\r\n", b"400 Bad Request\r\n"),
        (b"\x00\xff\n", b"400 Bad Request\r\n"),
    ],
)
def test_plain_http_is_sent_to_https_or_told(request_: bytes, answer: bytes) -> None:
    told = plain_answer(request_)
    assert told.startswith(b"HTTP/1.1 " + answer)
    head, _, body = told.partition(b"\r\n\r\n")
    assert b"https://" in body or request_.startswith(b"HEAD")
    assert head.count(b"Location") == answer.count(b"Location")


async def test_a_handshake_may_come_in_any_pieces(server: RunningServer, trusting: ssl.SSLContext) -> None:
    for size in (1, 100, 10_000):
        async with connected(server) as connection:
            handshake = Handshake(trusting)
            hello = handshake.hello()
            for at in range(0, len(hello), size):
                await connection.send(hello[at : at + size])
                await asyncio.sleep(0)
            assert await handshake.finish_with(WHOLE, connection) == ANSWERED


async def test_connections_count_from_their_first_moment(
    start_server: StartServer,
    certificate: tuple[Path, Path],
    trusting: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not from the end of a handshake that never comes; and each only once."""
    monkeypatch.setattr(connections, "CONNECTIONS", 4)
    server = await start_server("identity", tls=f"{certificate[0]},{certificate[1]}")

    async def served() -> bool:
        async with connected(server) as connection:
            try:
                handshake = Handshake(trusting)
                await connection.send(handshake.hello())
                return await handshake.finish_with(WHOLE, connection) == ANSWERED
            except (ConnectionError, ssl.SSLError, TimeoutError):
                return False

    async def served_again() -> bool:
        async with asyncio.timeout(10):
            while not await served():
                await asyncio.sleep(0.01)
        return True

    assert [await served_again() for _ in range(6)] == [True] * 6
    for junk in (b"\x16\x03\x01\x00\x05hello", b"", GET, b"\x16"):  # each leaves its place
        async with connected(server) as connection:
            await connection.send(junk)
    async with AsyncExitStack() as stack:
        for _ in range(4):
            silent = await stack.enter_async_context(connected(server))
            await silent.send(b"\x16\x03\x01")
        async with asyncio.timeout(10):
            while await served():
                await asyncio.sleep(0.01)
    assert await served_again()


async def test_a_handshake_that_breaks_gives_its_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    class Places(asyncio.Transport):
        """In the place of server and transport: who was let in, who left, and that the connection was cut."""

        def __init__(self) -> None:
            super().__init__()
            self.said: list[str] = []

        def __call__(self) -> object:
            return self

        def enter(self, handler: object, transport: object) -> bool:
            return True

        def leave(self, handler: object) -> None:
            self.said.append("left")

        def abort(self) -> None:
            self.said.append("cut")

        def is_closing(self) -> bool:
            return False

        def pause_reading(self) -> None:
            pass

        def get_protocol(self) -> asyncio.BufferedProtocol:
            return _Swallows()

    async def breaks(*arguments: object, **options: object) -> None:
        raise RuntimeError("of our own")

    monkeypatch.setattr(asyncio.get_running_loop(), "start_tls", breaks)
    places, doorways = Places(), set[Any]()
    doorway = tls_site._Doorway(cast(Any, places), ssl.create_default_context(), doorways)
    doorway.connection_made(places)
    doorway.data_received(b"\x16")
    assert doorway.handshake
    with pytest.raises(RuntimeError, match="of our own"):
        await doorway.handshake
    assert (places.said, doorways) == (["left", "cut"], set())


class _Swallows(asyncio.BufferedProtocol):
    """For the client's first words, which come once the handshake has begun."""

    def get_buffer(self, sizehint: int) -> bytearray:
        return bytearray(sizehint)


async def test_who_says_too_little_is_cut_off(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_site, "HEADERS_TIMEOUT", 0.2)
    async with connected(server) as silent, connected(server) as half:
        await half.send(b"\x16\x03\x01\x02\x00")
        await asyncio.gather(silent.ended(), half.ended())


async def test_the_server_ends_while_handshakes_are_under_way(
    start_server: StartServer, certificate: tuple[Path, Path]
) -> None:
    server = await start_server("identity", tls=f"{certificate[0]},{certificate[1]}")
    async with connected(server) as silent, connected(server) as half:
        await half.send(b"\x16\x03\x01\x02\x00")
        async with asyncio.timeout(10):
            while not any(task.get_name() == "tls handshake" for task in asyncio.all_tasks()):
                await asyncio.sleep(0)
        async with asyncio.timeout(HEADERS_TIMEOUT - 2):  # it waits for none of them
            await server.close()
            await asyncio.gather(silent.ended(), half.ended())


async def test_this_machines_names_are_the_servers_where_its_certificate_says_so(
    start_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr("socket.gethostname", lambda: "Studio")
    made, plain = await start_server("identity", tls="auto", allowed_hosts="paint.test"), await start_server("identity")
    trusting = ssl.create_default_context(cafile=tmp_path / "live-diffusion" / "certificate.pem")
    for name in ("studio", "studio.local", "paint.test", "evil.example"):
        certified = name if name != "evil.example" else "localhost"
        statuses = []
        for server in (made, plain):
            async with (
                aiohttp.ClientSession(server.url) as http,
                http.get("/api/status", headers={"Host": name}, ssl=trusting, server_hostname=certified) as response,
            ):
                statuses.append(response.status)
        assert statuses == [200 if certified == name else 403, 403]
