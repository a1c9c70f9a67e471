"""aiohttp's runner with the limits that it does not have: how many connections there are, and how long one may take
to say what it wants. Nothing of a request is read here.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from typing import Any

from aiohttp import web
from aiohttp.http import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

from webrtc_server.config import Config
from webrtc_server.limits import CONNECTIONS, CONNECTIONS_PER_ADDRESS, HEADERS_TIMEOUT, LINGER
from webrtc_server.policy.addresses import LOOPBACK, Connections, Network, is_proxy, place


class Server(web.Server):
    """Takes a connection only while there is room for it. Addresses that stand for many (this machine, where a proxy
    may be, and proxies by name) have no share of their own."""

    def __init__(self, like: web.Server, most: int, proxies: list[Network], **options: Any) -> None:  # noqa: ANN401  aiohttp's own
        super().__init__(like.request_handler, request_factory=like.request_factory, **options)
        self._proxies = proxies
        self._room = Connections(most, CONNECTIONS_PER_ADDRESS)
        self._inside: dict[RequestHandler, str | None] = {}

    def enter(self, handler: RequestHandler, transport: asyncio.Transport) -> bool:
        """Count the connection, once, until it is lost or `leave` is called; false where there is no room for it."""
        if handler not in self._inside:
            peer = transport.get_extra_info("peername")
            address = self._share_of(str(peer[0]) if isinstance(peer, tuple) else None)
            if not self._room.enter(address):
                return False
            self._inside[handler] = address
        return True

    def leave(self, handler: RequestHandler) -> None:
        if handler in self._inside:
            self._room.leave(self._inside.pop(handler))

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if not self.enter(handler, transport):
            asyncio.get_running_loop().call_soon(transport.abort)  # once aiohttp's own task has begun

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self.leave(handler)

    def _share_of(self, peer: str | None) -> str | None:
        address = place(peer, (), ())
        return None if address == LOOPBACK or is_proxy(peer, self._proxies) else address


class Runner(web.AppRunner):
    """`web.AppRunner` with that server. A connection that is idle or half way through its headers ends after
    HEADERS_TIMEOUT; bodies have a limit of their own, in `web/body.py`."""

    def __init__(self, app: web.Application, config: Config, shutdown_timeout: float) -> None:
        super().__init__(app, shutdown_timeout=shutdown_timeout)
        self._most = max(
            CONNECTIONS, 2 * (config.max_sessions or 0)
        )  # a session on /ws is one connection, its page has more
        self._proxies = [ipaddress.ip_network(network) for network in config.trusted_proxies]

    async def _make_server(self) -> Server:
        return Server(
            await super()._make_server(),
            self._most,
            self._proxies,
            access_log=None,
            keepalive_timeout=HEADERS_TIMEOUT,  # aiohttp counts it from the start of a connection, too
            lingering_time=LINGER,
            logger=_logger(),
        )


def _logger() -> logging.Logger:
    logger = logging.getLogger("aiohttp.server")
    logger.addFilter(_is_ours)
    return logger


def _is_ours(record: logging.LogRecord) -> bool:
    """Not what is no HTTP, or no body as its headers say: it is answered 400, anybody can send a million of it, and its
    text may hold a token.
    """
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError | web.RequestPayloadError))
