"""UDP sockets for media on the ports of a range, for a firewall that opens only those. Called by `web/app.py`.

aioice 0.13 binds port 0 of each address and has no setting for it, so the loop's own method is wrapped on this one
loop: whoever asks for `(address, 0)` gets a port of the range. Other endpoints are not touched.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from typing import Any


def use(loop: asyncio.AbstractEventLoop, ports: range) -> Callable[[], None]:
    """From now on; the answer takes it back.

    A port is used again only after all others were: packets of an ended session would come to it. If all are in use,
    the endpoint's maker gets OSError EADDRINUSE, which aioice takes for an address without a candidate.
    """
    stock = loop.create_datagram_endpoint
    turn = 0

    async def create_datagram_endpoint(
        protocol_factory: Callable[[], asyncio.DatagramProtocol],
        local_addr: tuple[str, int] | None = None,
        remote_addr: tuple[str, int] | None = None,
        **options: Any,  # noqa: ANN401  of the loop, handed on
    ) -> tuple[asyncio.DatagramTransport, asyncio.DatagramProtocol]:
        nonlocal turn
        if local_addr is None or local_addr[1] != 0 or remote_addr is not None:
            return await stock(protocol_factory, local_addr=local_addr, remote_addr=remote_addr, **options)
        for _ in ports:
            port = ports[turn % len(ports)]
            turn += 1
            try:
                return await stock(protocol_factory, local_addr=(local_addr[0], port), **options)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
        raise OSError(errno.EADDRINUSE, f"no UDP port is free from {ports[0]} to {ports[-1]} on {local_addr[0]}")

    def undo() -> None:
        loop.create_datagram_endpoint = stock  # type: ignore[method-assign]

    loop.create_datagram_endpoint = create_datagram_endpoint  # type: ignore[method-assign,assignment]
    return undo
