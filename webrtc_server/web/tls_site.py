"""The site of a server that speaks HTTPS: aiohttp's, with what it lacks while a connection is not encrypted yet.

A connection has its place among all from its first moment, not from the end of the handshake, which has as long as a
request has for its headers. Who speaks plain HTTP, as browsers do where an address is typed, is sent to https. Nothing
of this is logged: anybody can send a million of it.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from typing import cast

from aiohttp import web

from webrtc_server.limits import HEADERS_TIMEOUT, LINGER
from webrtc_server.policy.hosts import HOST
from webrtc_server.web.connections import Server

_CLIENT_HELLO = 0x16  # the first byte of TLS: a record of the handshake (RFC 8446 section 5.1)
_REQUEST = re.compile(rb"(?:GET|HEAD) (/[!-~]*) HTTP/1\.[01]\r\n(?:.+\r\n)*?host:[ \t]*(\S+)[ \t]*\r\n", re.IGNORECASE)
_LONGEST = 8192  # bytes of it that are looked at, as aiohttp's line may have
_TEXT = b"This port speaks HTTPS: write https:// before the address.\n"


def plain_answer(request: bytes) -> bytes:
    """What a plain request is told, by its first packet: the same address with https, or in words."""
    found = _REQUEST.match(request, 0, _LONGEST)
    status, location = b"400 Bad Request", b""
    if found and HOST.fullmatch(found[2].decode("latin-1")):
        status, location = b"307 Temporary Redirect", b"Location: https://%b%b\r\n" % (found[2], found[1])
    head = b"HTTP/1.1 %b\r\n%bContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
    return head % (status, location, len(_TEXT)) + (b"" if request.startswith(b"HEAD") else _TEXT)


class TlsSite(web.TCPSite):
    """As `web.TCPSite` with `ssl_context`; its runner is one of `connections.Runner`."""

    __slots__ = ("_doorways",)

    def __init__(self, runner: web.BaseRunner, host: str, port: int, context: ssl.SSLContext) -> None:
        super().__init__(runner, host, port, ssl_context=context)
        self._doorways: set[_Doorway] = set()

    async def start(self) -> None:
        await web.BaseSite.start(self)
        server, context = cast(Server, self._runner.server), cast(ssl.SSLContext, self._ssl_context)
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Doorway(server, context, self._doorways), self._host, self._port, backlog=self._backlog
        )

    async def stop(self) -> None:
        await super().stop()
        handshakes = [doorway.handshake for doorway in self._doorways if doorway.handshake]
        for doorway in list(self._doorways):
            doorway.end()
        await asyncio.gather(*handshakes)


class _Doorway(asyncio.Protocol):
    """A connection until its handshake is done; then aiohttp's handler stands in its place."""

    def __init__(self, server: Server, context: ssl.SSLContext, doorways: set[_Doorway]) -> None:
        self.handshake: asyncio.Task[None] | None = None
        self._server = server
        self._context = context
        self._doorways = doorways
        self._handler = server()
        self._transport: asyncio.Transport | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._early = bytearray()  # of the request, if it comes with the last of the handshake

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._server.enter(self._handler, self._transport):
            self._doorways.add(self)
            self._patience = asyncio.get_running_loop().call_later(HEADERS_TIMEOUT, self.end)
        else:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        assert self._transport
        if self.handshake:
            self._early += data
        elif data[0] == _CLIENT_HELLO:
            self._transport.pause_reading()  # until TLS stands in the way of what comes
            self.handshake = asyncio.create_task(self._encrypt(self._transport, data), name="tls handshake")
        else:
            self._transport.write(plain_answer(data))
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.handshake:
            self._server.leave(self._handler)
            self._leave()

    def end(self) -> None:
        if self._transport:
            self._transport.abort()

    async def _encrypt(self, transport: asyncio.Transport, hello: bytes) -> None:
        try:
            encrypted = await self._start_tls(transport, hello)
        except BaseException:  # else the connection would count for ever
            self._server.leave(self._handler)
            transport.abort()
            raise
        finally:
            self._leave()
        if encrypted is None or encrypted.is_closing():
            self._server.leave(self._handler)
            return
        encrypted.set_protocol(self._handler)
        self._handler.connection_made(encrypted)
        if self._early:
            self._handler.data_received(bytes(self._early))

    async def _start_tls(self, transport: asyncio.Transport, hello: bytes) -> asyncio.Transport | None:
        """None where it came to nothing: what they said was no TLS, or not for us, or they left."""
        if transport.is_closing():
            return None
        loop = asyncio.get_running_loop()
        # start_tls puts its protocol in place and calls it soon; the hello has to come right after that, before more.
        loop.call_soon(loop.call_soon, _feed, transport, hello)
        try:
            return await loop.start_tls(
                transport,
                self,
                self._context,
                server_side=True,
                ssl_handshake_timeout=HEADERS_TIMEOUT,
                ssl_shutdown_timeout=LINGER,
            )
        except OSError:  # ssl.SSLError is one
            return None

    def _leave(self) -> None:
        self._doorways.discard(self)
        if self._patience:
            self._patience.cancel()


def _feed(transport: asyncio.Transport, data: bytes) -> None:
    """As the transport does with what it reads."""
    protocol = transport.get_protocol()
    assert isinstance(protocol, asyncio.BufferedProtocol)
    while data:
        buffer = memoryview(protocol.get_buffer(len(data)))
        count = min(len(buffer), len(data))
        buffer[:count] = data[:count]
        protocol.buffer_updated(count)
        data = data[count:]
