"""Puts `media/inbound.py` in the place of aiortc's jitter buffer and NACKs, for one video receiver.

Proved on aiortc 1.16 (>=1.16,<1.17); `tests/webrtc_server/test_receiver.py` fails when an upgrade moves what is
leaned on. Only the instance is changed: a receiver that is not given to `VideoReceiver`, audio above all, is as it was.

Upstream holds a frame until the next one begins, asks for a lost packet once and waits for it for ever (6 s frozen
after one loss), and lets frames wait for the decoder without bound.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
from collections.abc import Callable
from typing import Any

from aiortc import RTCRtpReceiver
from aiortc.codecs import is_rtx
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtp import RtpPacket

from webrtc_server.media.assemble import Frame
from webrtc_server.media.inbound import Arrived, Inbound
from webrtc_server.media.picture_size import too_large
from webrtc_server.media.sequence import Timeline

# Frames that wait for the decoder. A repaired hole lets up to half a second of video go at once, 30 frames at 60 fps;
# decoding 32 of 640x480 takes 0.1 s.
DECODER_FRAMES = 32

PRIVATE = "_RTCRtpReceiver__"
LEANED_ON = ("codecs", "decoder_error", "decoder_queue", "jitter_buffer", "nack_generator")


class VideoReceiver:
    """Give it the receiver before the connection is made, and let `run` run as long as the connection lives.

    `refused` is called with width and height for each frame that is too large to be decoded.
    """

    def __init__(self, receiver: RTCRtpReceiver, refused: Callable[[int, int], None] = lambda *_: None) -> None:
        self._receiver: Any = receiver
        self._refused = refused
        self._inbound = Inbound()
        self._timeline = Timeline()
        self._waiting = _DecoderQueue(DECODER_FRAMES)
        self._codec: Any = None  # RTCRtpCodecParameters of the newest packet
        self._has_rtx = False
        self._retransmitted = False
        self._news = asyncio.Event()
        self._handle_stock = receiver._handle_rtp_packet
        self._replace("jitter_buffer", self)
        self._replace("nack_generator", _NoNacks())
        self._replace("decoder_queue", self._waiting)
        receiver._handle_rtp_packet = self._handle  # type: ignore[method-assign]  # of this instance only

    def numbers(self) -> dict[str, float]:
        """As `Inbound.numbers`, and the frames that wait for the decoder."""
        return self._inbound.numbers() | {"decoder_waiting": float(self._waiting.qsize())}

    async def run(self) -> None:
        """Sends NACKs and PLIs when they are due, and gives holes up, until it is cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            self._news.clear()
            actions = self._inbound.tick(clock())
            self._decode(actions.frames)
            if actions.nack:
                await self._receiver._send_rtcp_nack(self._inbound.ssrc, list(actions.nack))
            if actions.key_frame:
                await self._receiver._send_rtcp_pli(self._inbound.ssrc)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(actions.wake):
                    await self._news.wait()

    def add(self, packet: RtpPacket) -> tuple[bool, None]:
        """In the place of `JitterBuffer.add`: a packet out of its retransmission, with the decoder's bytes as `_data`.

        Says that no PLI is to be sent and no frame is complete, since `run` and `_decode` see to that.
        """
        if self._codec is None or packet.payload_type != self._codec.payloadType:
            self._learn(packet.payload_type)
        data: bytes = packet._data  # type: ignore[attr-defined]  # upstream's own way to hand it over
        frames = self._inbound.receive(
            Arrived(
                packet.ssrc,
                packet.sequence_number,
                packet.timestamp,
                bool(packet.marker),
                self._codec.name,
                packet.payload,
                data,
                self._retransmitted or not self._has_rtx,
            ),
            asyncio.get_running_loop().time(),
        )
        self._decode(frames)
        error = self._private("decoder_error")
        if error.is_set():  # upstream would send a PLI for each packet that comes now
            error.clear()
            self._inbound.decode_failed()
        if self._inbound.urgent:
            self._news.set()
        return False, None

    def _learn(self, payload_type: int) -> None:
        """What was negotiated for the codec of the packets that come now."""
        codecs = self._private("codecs")
        self._codec = codecs[payload_type]
        feedback = {(entry.type, entry.parameter) for entry in self._codec.rtcpFeedback}
        self._inbound.can_nack = ("nack", None) in feedback
        self._inbound.can_ask_key_frame = ("nack", "pli") in feedback
        # Without RTX a packet that was asked for comes as it was, so any may be the answer.
        self._has_rtx = any(map(is_rtx, codecs.values()))

    async def _handle(self, packet: RtpPacket, arrival_time_ms: int) -> None:
        codec = self._private("codecs").get(packet.payload_type)
        self._retransmitted = codec is not None and is_rtx(codec)
        await self._handle_stock(packet, arrival_time_ms=arrival_time_ms)

    def _decode(self, frames: list[Frame]) -> None:
        for frame in frames:
            if size := too_large(self._codec.name, frame.data):
                self._inbound.refuse()
                self._news.set()
                self._refused(*size)
                return  # as below
            ticks = self._timeline.map(frame.timestamp)
            try:
                self._waiting.put_nowait((self._codec, JitterFrame(frame.data, ticks)))
            except queue.Full:
                self._inbound.lose_chain()
                self._news.set()
                return  # those after it could not be decoded

    def _private(self, name: str) -> Any:  # noqa: ANN401  upstream's own types are not the point
        return getattr(self._receiver, PRIVATE + name)

    def _replace(self, name: str, value: object) -> None:
        self._private(name)  # an AttributeError, if upstream has renamed it
        setattr(self._receiver, PRIVATE + name, value)


class _NoNacks:
    """In the place of `NackGenerator`."""

    def add(self, packet: RtpPacket) -> bool:
        return False


class _DecoderQueue(queue.Queue[Any]):
    """None, the sign to stop, overtakes all that waits: upstream joins the decoder's thread on the event loop."""

    def put(self, item: object, block: bool = True, timeout: float | None = None) -> None:
        if item is None:
            with self.mutex:
                self.queue.clear()
        super().put(item, block, timeout)
