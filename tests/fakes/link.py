"""A bad network in front of a real aiortc client: loss, delay, reordering, duplicates and blackouts of whole datagrams.

It sits between aioice and the socket of the client, so it acts both ways and on everything: STUN, DTLS, RTP and RTCP.
`loss.py` loses RTP only. Chance is seeded: the same packets meet the same fate.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiortc import RTCPeerConnection

Address = tuple[str, int]
QUEUE = 0.2  # seconds, as in the buffer of a home's router


@dataclass(frozen=True)
class Conditions:
    """Of each way. Reordering is what a delay does that differs by more than packets lie apart."""

    loss: float = 0.0  # 0..1
    delay: tuple[float, float] = (0.0, 0.0)  # seconds, from and to
    duplicates: float = 0.0  # 0..1
    rate: float = math.inf  # bits a second; what would wait longer than QUEUE for its turn is lost


class Link:
    """Laid on the sockets that `connection` has after `setLocalDescription`. `conditions` may change at any time."""

    def __init__(self, connection: RTCPeerConnection, conditions: Conditions | None = None, seed: int = 1) -> None:
        self.conditions = conditions or Conditions()
        self.is_cut = False
        self.dropped = 0
        self._chance = random.Random(seed)
        self._free_at = [0.0, 0.0]  # when each way has sent what it holds
        transports = {t.sender.transport for t in connection.getTransceivers()}
        if connection.sctp:
            transports.add(connection.sctp.transport)
        for transport in transports:
            for protocol in transport.transport._connection._protocols:
                self._lay_on(protocol)

    def cut(self) -> None:
        """Nothing passes from now on, either way."""
        self.is_cut = True

    def mend(self) -> None:
        self.is_cut = False

    def _lay_on(self, protocol: Any) -> None:  # noqa: ANN401  aioice's, which has no public name
        receive = protocol.datagram_received  # its asyncio transport looks this name up for each datagram
        protocol.datagram_received = lambda data, address: self._carry(receive, data, address, 0)
        protocol.transport = _Sender(protocol.transport, self._carry)

    def _carry(self, deliver: Callable[[bytes, Address], None], data: bytes, address: Address, way: int = 1) -> None:
        now_so, loop = self.conditions, asyncio.get_running_loop()
        wait = max(0.0, self._free_at[way] - loop.time())
        if self.is_cut or self._chance.random() < now_so.loss or wait > QUEUE:
            self.dropped += 1
            return
        wait += len(data) * 8 / now_so.rate
        self._free_at[way] = loop.time() + wait
        for _ in range(1 + (self._chance.random() < now_so.duplicates)):
            delay = wait + self._chance.uniform(*now_so.delay)
            if delay:
                loop.call_later(delay, self._deliver, deliver, data, address)
            else:
                deliver(data, address)

    def _deliver(self, deliver: Callable[[bytes, Address], None], data: bytes, address: Address) -> None:
        if not self.is_cut:
            deliver(data, address)


class _Sender:
    """A datagram transport whose `sendto` goes over the link."""

    def __init__(self, transport: asyncio.DatagramTransport, carry: Callable[..., None]) -> None:
        self._transport = transport
        self._carry = carry

    def sendto(self, data: bytes, address: Address) -> None:
        self._carry(self._send, data, address)

    def _send(self, data: bytes, address: Address) -> None:
        if not self._transport.is_closing():
            self._transport.sendto(data, address)

    def __getattr__(self, name: str) -> object:
        return getattr(self._transport, name)
