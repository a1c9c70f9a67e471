"""One peer connection: an offer answered, tracks and channel wired up, closed in bounded time.

What each media section is for was decided in `protocol/sdp_guard.py`; aiortc does the rest.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Protocol

import av
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCDataChannel,
    RTCDtlsTransport,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpCodecCapability,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.exceptions import OperationError

from webrtc_server.limits import (
    CHANNELS_BURST,
    CHANNELS_PER_SECOND,
    CLOSE_TIMEOUT,
    CONNECT_TIMEOUT,
    DATA_CHANNEL_LABEL,
    GATHER_TIMEOUT,
    VIOLATIONS,
)
from webrtc_server.observe.counted import Counted
from webrtc_server.observe.log import get_logger
from webrtc_server.policy.token_bucket import TokenBucket
from webrtc_server.protocol import candidates
from webrtc_server.protocol.error_codes import ClientError, Code
from webrtc_server.protocol.sdp_answer import raise_uplink
from webrtc_server.protocol.sdp_guard import OfferPlan
from webrtc_server.rtc import feedback
from webrtc_server.rtc.datachannel import ControlChannel
from webrtc_server.rtc.reach import Reach
from webrtc_server.rtc.receiver import VideoReceiver
from webrtc_server.rtc.relay import PacketTrack
from webrtc_server.rtc.track_in import discard, drain_video

# What costs this server least comes first; of two profiles of H.264 the one that we send (RFC 6184 section 8.1).
CODEC_ORDER = (("video/H264", "42e01f"), ("video/H264", "42001f"), ("video/VP8", None), ("video/rtx", None))

CLOSED_MEANWHILE = "The session was ended before it was connected."

logger = get_logger(__name__)


class Listener(Protocol):
    """What the owner of a peer hears. Called on the event loop; must not block and must not raise."""

    def connected(self) -> None: ...
    def captured(self, frame: av.VideoFrame) -> None: ...

    def refused(self, width: int, height: int) -> None:
        """A picture was not decoded: it is too large, or does not tell its size (0 and 0)."""

    def camera_ended(self) -> None:
        """The other side said that no more pictures come (RTCP BYE)."""

    def channel_opened(self, channel: ControlChannel) -> None: ...
    def text_received(self, text: str) -> None: ...
    def binary_received(self) -> None: ...
    def gone(self, reason: Code | None) -> None:
        """The connection failed, was never made in time (a reason), or was closed by the other side (None)."""


def preferred_codecs() -> list[RTCRtpCodecCapability]:
    """What can be negotiated at all, in our order; the offer's order does not count."""
    offered = RTCRtpSender.getCapabilities("video").codecs

    def order(codec: RTCRtpCodecCapability) -> int:
        return CODEC_ORDER.index((codec.mimeType, codec.parameters.get("profile-level-id")))

    return sorted(offered, key=order)


class Peer:
    def __init__(self, reach: Reach, listener: Listener) -> None:
        # An explicit list, if empty: aiortc's own default is a public STUN server, and 5 s of waiting if it is silent.
        servers = [
            RTCIceServer(list(server.urls), server.username, server.credential) for server in reach.ice_servers()
        ]
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=servers))
        self._reach = reach
        self._listener = listener
        self._channel: ControlChannel | None = None
        self._openings = TokenBucket(CHANNELS_PER_SECOND, CHANNELS_BURST)
        self._intruders = 0
        self._input: VideoReceiver | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._input_mid: str | None = None
        self._closed = False
        self._failed = False  # there is no way for media, or no more
        self._answering = asyncio.Lock()  # sockets that are gathered after the connection was closed would stay open
        self._connection.on("track", self._on_track)
        self._connection.on("datachannel", self._on_channel)
        self._connection.on("connectionstatechange", self._on_state)

    async def answer(self, plan: OfferPlan, painted: PacketTrack) -> str:
        """The answer's SDP, with all candidates. Raises ClientError; the peer is to be closed then."""
        async with self._answering:
            await self._negotiate(plan, painted)
        if self._closed:
            raise ClientError(Code.ICE_FAILED, CLOSED_MEANWHILE)
        self._spawn(self._watch_connecting(), "connect timeout")
        if self._input:
            self._spawn(self._input.run(), "loss repair")
        sdp = self._for_clients(str(self._connection.localDescription.sdp))
        return raise_uplink(sdp, plan.input_mid) if plan.input_mid is not None else sdp

    async def _negotiate(self, plan: OfferPlan, painted: PacketTrack) -> None:
        self._input_mid = plan.input_mid
        try:
            async with asyncio.timeout(GATHER_TIMEOUT):
                for _ in range(plan.videos):  # made before the offer is read, for then their codecs are settled
                    self._connection.addTransceiver("video").setCodecPreferences(preferred_codecs())
                await self._connection.setRemoteDescription(RTCSessionDescription(plan.sdp, "offer"))
                self._assign_roles(plan, painted)
                await self._connection.setLocalDescription(await self._connection.createAnswer())
        except OperationError as error:
            raise ClientError(Code.NO_COMMON_CODEC) from error
        except TimeoutError:
            raise ClientError(Code.ICE_FAILED, "No addresses could be gathered in time.") from None
        except Exception as error:  # aiortc answers what it cannot parse with any exception there is
            raise ClientError(Code.BAD_SDP, f"The offer cannot be used ({type(error).__name__}).") from error

    def _for_clients(self, sdp: str) -> str:
        if not candidates.has_candidates(sdp):
            if ports := self._reach.udp_ports:
                message = f"The server's range of UDP ports, {ports[0]} to {ports[-1]}, is used up."
                raise ClientError(Code.ICE_FAILED, message, "Try again later; its owner can widen the range.")
            raise ClientError(Code.ICE_FAILED, "The server has no address for media.")
        return candidates.for_clients(sdp, self._reach.public_ip)

    def _assign_roles(self, plan: OfferPlan, painted: PacketTrack) -> None:
        for transceiver in self._connection.getTransceivers():
            if transceiver.kind != "video":
                continue
            is_input, is_output = transceiver.mid == plan.input_mid, transceiver.mid == plan.output_mid
            if is_input:
                self._input = VideoReceiver(transceiver.receiver, self._listener.refused)
            if is_output:
                transceiver.sender.replaceTrack(painted)
                feedback.listen(transceiver.sender, painted)
            roles = {(True, True): "sendrecv", (True, False): "recvonly", (False, True): "sendonly"}
            transceiver.direction = roles.get((is_input, is_output), "inactive")

    def _on_track(self, track: MediaStreamTrack) -> None:
        receivers = {t.receiver.track: t.mid for t in self._connection.getTransceivers()}
        if track.kind == "video" and receivers.get(track) == self._input_mid:
            self._spawn(self._drain(track), "drain video")
        else:
            self._spawn(discard(track), "discard")

    async def _drain(self, track: MediaStreamTrack) -> None:
        await drain_video(track, self._listener.captured)
        self._listener.camera_ended()

    def _on_channel(self, channel: RTCDataChannel) -> None:
        """The newest channel named `control` is served; older ones and others are closed.

        A peer that opens others again and again, or that one too often, is sent away.
        """
        if channel.label != DATA_CHANNEL_LABEL or not self._openings.take(time.monotonic()):
            channel.close()
            self._intruders += 1
            if self._intruders >= VIOLATIONS:
                self._listener.gone(Code.RATE_LIMITED)
            return
        if self._channel:
            self._channel.close()
        self._channel = ControlChannel(channel, self._listener.text_received, self._listener.binary_received)
        self._listener.channel_opened(self._channel)

    def _on_state(self) -> None:
        state = self._connection.connectionState
        if state == "failed":
            self._ice_failed()
        elif state == "closed":
            self._listener.gone(None)
        elif state == "connected":
            self._listener.connected()

    async def _watch_connecting(self) -> None:
        await asyncio.sleep(CONNECT_TIMEOUT)
        if self._connection.connectionState != "connected":
            self._ice_failed()

    def _ice_failed(self) -> None:
        self._failed = True
        self._listener.gone(Code.ICE_FAILED)

    def counted(self) -> Counted:
        """The bytes of its connection, which stay when it is closed, and whether that failed."""
        counted = Counted()
        counted.ice_failures = int(self._failed)
        carriers: set[RTCDtlsTransport | None] = {each.sender.transport for each in self._connection.getTransceivers()}
        if self._connection.sctp:
            carriers.add(self._connection.sctp.transport)
        for carrier in carriers - {None}:  # which an offer has that was given up half-way
            assert carrier
            for entry in carrier._get_stats().values():  # as `getStats` does, which has to be awaited
                counted.bytes["out"] += entry.bytesSent
                counted.bytes["in"] += entry.bytesReceived
        return counted

    async def numbers(self) -> dict[str, float | None]:
        """What RTCP, the transport and the receiver say; docs/reference/protocol.md has the names."""
        numbers: dict[str, float | None] = {}
        if self._input:
            numbers.update(self._input.numbers())
        report = await self._connection.getStats()
        for entry in report.values():
            if entry.type == "remote-inbound-rtp" and entry.kind == "video":
                rtt = entry.roundTripTime
                numbers["round_trip_ms"] = rtt * 1000 if rtt is not None else None
                numbers["loss"] = entry.fractionLost / 256
            elif entry.type == "transport":
                numbers["bytes_sent"] = entry.bytesSent
                numbers["bytes_received"] = entry.bytesReceived
        return numbers

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Bounded, repeatable, cannot raise: aiortc's own close can do neither."""
        self._closed = True
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            async with asyncio.timeout(GATHER_TIMEOUT + CLOSE_TIMEOUT), self._answering:
                await self._connection.close()
                for transceiver in self._connection.getTransceivers():
                    await transceiver.stop()  # again: one that was about to start while the others were stopped goes on
        except Exception as error:
            logger.warning("peer connection did not close cleanly", error=type(error).__name__)
        self._connection.remove_all_listeners()
