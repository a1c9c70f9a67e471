"""Asks STUN and TURN servers what a session would ask of them. Called by `diagnosis`, while no client is served."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from aioice import stun, turn
from aiortc.rtcicetransport import parse_stun_turn_uri

ANSWER_TIMEOUT = 3.0  # seconds for a server to answer: a lost packet is repeated after 0.5 s and 1.5 s
CARRY_TIMEOUT = 2.0  # seconds for packets between two relayed addresses
CARRY_AGAIN = 0.1  # seconds between these: the first come before the other side allows them
CLOSE_TIMEOUT = 1.0  # seconds for an allocation to be given back
LIFETIME = 60  # seconds of an allocation that is not given back

Address = tuple[str, int]
T = TypeVar("T")


class NoAnswer(Exception):
    """Why the server is of no use, in words for the operator. Never a text of the server's own."""


@dataclass(frozen=True)
class Relay:
    """What a TURN server gave: an address for peers to send to, in how many seconds, and whether packets pass."""

    address: Address
    seconds: float
    carries: bool


async def own_address(url: str) -> Address:
    """This machine's address as the STUN server at `url` sees it (RFC 8489 section 9). Raises NoAnswer."""
    server = _parsed(url)
    if server["scheme"] == "stuns":
        raise NoAnswer("STUN over TLS is not used by this server")
    return await _bounded(_ask(server["host"], server["port"]))


async def relay(url: str, username: str | None, credential: str | None) -> Relay:
    """Two allocations at the TURN server `url` (RFC 8656), and packets from each to the other. Raises NoAnswer."""
    server = _parsed(url)
    begun = time.monotonic()
    async with _allocation(server, username, credential) as (first, first_inbox):
        took = time.monotonic() - begun
        address: Address = first.get_extra_info("sockname")
        async with _allocation(server, username, credential) as (second, second_inbox):
            other: Address = second.get_extra_info("sockname")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CARRY_TIMEOUT):
                    while not (first_inbox.has_news and second_inbox.has_news):
                        first.sendto(b"live-diffusion", other)
                        second.sendto(b"live-diffusion", address)
                        await asyncio.sleep(CARRY_AGAIN)
            return Relay(address, took, first_inbox.has_news and second_inbox.has_news)


class _Asker(asyncio.DatagramProtocol):
    """One STUN transaction on a connected socket."""

    transport: asyncio.DatagramTransport

    def __init__(self) -> None:
        self._transaction: stun.Transaction | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        with contextlib.suppress(ValueError):
            message = stun.parse_message(data)
            if self._transaction:
                self._transaction.response_received(message, addr)

    def send_stun(self, message: stun.Message, addr: Address) -> None:
        """What the transaction calls, and again where no answer comes."""
        self.transport.sendto(bytes(message))

    async def ask(self) -> stun.Message:
        request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        self._transaction = stun.Transaction(request, self.transport.get_extra_info("peername"), self)
        response, _ = await self._transaction.run()
        return response


async def _ask(host: str, port: int) -> Address:
    loop = asyncio.get_running_loop()
    transport, asker = await loop.create_datagram_endpoint(_Asker, remote_addr=(host, port))
    try:
        attributes = (await asker.ask()).attributes
    finally:
        transport.close()
    address: Address | None = attributes.get("XOR-MAPPED-ADDRESS") or attributes.get("MAPPED-ADDRESS")
    if address is None:
        raise NoAnswer("its answer has no address")
    return address


class _Inbox(asyncio.DatagramProtocol):
    """The end of an allocation: whether something came."""

    def __init__(self) -> None:
        self.has_news = False
        self.gone = asyncio.Event()

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.has_news = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()


@contextlib.asynccontextmanager
async def _allocation(
    server: dict[str, Any], username: str | None, credential: str | None
) -> AsyncIterator[tuple[turn.TurnTransport, _Inbox]]:
    transport, inbox = await _bounded(
        turn.create_turn_endpoint(
            _Inbox,
            (server["host"], server["port"]),
            username,
            credential,
            LIFETIME,
            ssl=server["scheme"] == "turns",
            transport=server["transport"],
        )
    )
    try:
        yield transport, inbox
    finally:
        transport.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await inbox.gone.wait()


def _parsed(url: str) -> dict[str, Any]:
    """Raises NoAnswer."""
    try:
        return parse_stun_turn_uri(url)
    except ValueError:
        raise NoAnswer("this is no address of a STUN or TURN server: write turn:name:3478") from None


async def _bounded(work: Coroutine[Any, Any, T]) -> T:
    """Raises NoAnswer in the place of everything that a server or the network can do."""
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT):
            return await work
    except (TimeoutError, stun.TransactionTimeout):
        raise NoAnswer(f"no answer in {ANSWER_TIMEOUT:.0f} s") from None
    except stun.TransactionFailed as error:
        code = error.response.error_code
        why = "it does not take the user name and password" if code == 401 else "it refused"
        raise NoAnswer(f"{why} (STUN error {code})") from None
    except socket.gaierror:
        raise NoAnswer("its name is not known to the DNS") from None
    except OSError as error:  # ssl.SSLError is one
        raise NoAnswer(f"it cannot be reached: {error.strerror or type(error).__name__}") from None
