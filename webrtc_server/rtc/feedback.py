"""What a receiver says of the video we send it, read from RTCP before aiortc's sender has it. On one sender at a time.

aiortc keeps these for its own encoder, which we do not use. Proved on aiortc 1.16;
`tests/webrtc_server/test_patches.py` fails when an upgrade moves what is leaned on.
"""

from __future__ import annotations

from typing import Protocol

from aiortc import RTCRtpSender
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    AnyRtcpPacket,
    RtcpPsfbPacket,
    RtcpRrPacket,
    RtcpSrPacket,
    unpack_remb_fci,
)


class Feedback(Protocol):
    """Called on the event loop; must not block and must not raise."""

    def picture_lost(self) -> None:
        """PLI (RFC 4585 section 6.3.1) or FIR (RFC 5104 section 4.3.1): only a key frame helps."""

    def estimated(self, bits: int) -> None:
        """REMB: so many bits a second are what the receiver thinks can come."""

    def lost(self, fraction: float) -> None:
        """A receiver report (RFC 3550 section 6.4.1): 0..1 of the packets since the last one did not come."""


def listen(sender: RTCRtpSender, feedback: Feedback) -> None:
    """From now on `feedback` hears what is said about `sender`; the sender goes on as before."""
    handle = sender._handle_rtcp_packet

    async def heard(packet: AnyRtcpPacket) -> None:
        _tell(packet, sender._ssrc, feedback)
        await handle(packet)

    sender._handle_rtcp_packet = heard  # type: ignore[method-assign]  # of this one object


def _tell(packet: AnyRtcpPacket, ssrc: int, feedback: Feedback) -> None:
    if isinstance(packet, RtcpRrPacket | RtcpSrPacket):
        for report in packet.reports:
            if report.ssrc == ssrc:
                feedback.lost(report.fraction_lost / 256)
    elif isinstance(packet, RtcpPsfbPacket) and packet.fmt in (RTCP_PSFB_PLI, RTCP_PSFB_FIR):
        feedback.picture_lost()
    elif isinstance(packet, RtcpPsfbPacket) and packet.fmt == RTCP_PSFB_APP:
        try:
            bits, ssrcs = unpack_remb_fci(packet.fci)
        except ValueError:  # an application's own message
            return
        if ssrc in ssrcs:
            feedback.estimated(bits)
