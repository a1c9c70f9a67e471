"""Loss on the path of a real aiortc connection: in front of SRTP's sending, behind its receiving. RTCP passes.

Put on one end, it acts both ways. Retransmissions are packets like others.
"""

from __future__ import annotations

import random
from typing import Any

from aiortc import RTCRtpSender
from aiortc.rtp import RtpPacket, is_rtcp


class LossyPath:
    """Changes the instance of the transport that `sender` sends on, which its receivers share."""

    def __init__(self, sender: RTCRtpSender, seed: int = 1) -> None:
        self.percent = 0.0
        self.dropped = 0
        self._rtx_ssrc = sender._rtx_ssrc
        self._chance = random.Random(seed)
        self._wanted = 0  # packets yet to be chosen to be lost for good
        self._gone: set[int] = set()  # their numbers
        transport: Any = sender.transport
        self._extensions = transport._rtp_header_extensions_map
        self._send, self._receive = transport._send_rtp, transport._handle_rtp_data
        transport._send_rtp, transport._handle_rtp_data = self._sending, self._receiving

    def lose_for_good(self, count: int = 1) -> None:
        """The next `count` packets that are sent vanish, and all their retransmissions with them."""
        self._wanted = count

    async def _sending(self, data: bytes) -> None:
        if is_rtcp(data) or not (self._is_gone(data) or self._unlucky()):
            await self._send(data)

    async def _receiving(self, data: bytes, arrival_time_ms: int) -> None:
        if not self._unlucky():
            await self._receive(data, arrival_time_ms=arrival_time_ms)

    def _unlucky(self) -> bool:
        lost = self._chance.random() * 100 < self.percent
        self.dropped += lost
        return lost

    def _is_gone(self, data: bytes) -> bool:
        packet = RtpPacket.parse(data, self._extensions)
        again = packet.ssrc == self._rtx_ssrc
        number = int.from_bytes(packet.payload[:2], "big") if again else packet.sequence_number
        if self._wanted and not again:
            self._wanted -= 1
            self._gone.add(number)
        self.dropped += number in self._gone
        return number in self._gone
