"""The receiver inside real aiortc: what it leans on is there, loss is repaired, a hole does not freeze the picture."""

from __future__ import annotations

import asyncio
import inspect
import time
from importlib import metadata
from itertools import pairwise
from typing import Any

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpReceiver, rtcrtpreceiver
from aiortc.jitterbuffer import JitterBuffer
from aiortc.rtcdtlstransport import RTCDtlsTransport
from aiortc.rtcrtpparameters import RTCRtcpFeedback, RTCRtpCodecParameters
from aiortc.rtp import RtpPacket

from tests.conftest import StartServer
from tests.fakes.loss import LossyPath
from tests.fakes.rtc_client import RtcClient
from tests.fakes.server import RunningServer
from webrtc_server.media.holes import KEY_FRAME_SPACING
from webrtc_server.rtc.receiver import DECODER_FRAMES, LEANED_ON, PRIVATE, VideoReceiver


def test_contract_with_aiortc() -> None:
    """What `rtc/receiver.py` leans on. Where this fails, read upstream's receiver anew before changing a line here."""
    assert metadata.version("aiortc").split(".")[:2] == ["1", "16"]
    handle = inspect.getsource(RTCRtpReceiver._handle_rtp_packet)
    for use in (
        "self.__nack_generator is not None and self.__nack_generator.add(packet)",
        "packet._data = depayload(codec, packet.payload)",
        "pli_flag, encoded_frame = self.__jitter_buffer.add(packet)",
        "if pli_flag:",
        "if encoded_frame is not None and self.__decoder_thread:",
        "unwrap_rtx(packet, payload_type=apt, ssrc=original_ssrc)",
    ):
        assert handle.count(use) == 1, use
    assert handle.index("__jitter_buffer.add") < handle.index("self.__decoder_error.is_set()")
    source = inspect.getsource(RTCRtpReceiver)
    assert source.count("self.__jitter_buffer") == 3
    assert source.count("self.__decoder_queue") == 4  # made, given to the thread, a frame put in, the end put in
    worker = inspect.getsource(rtcrtpreceiver.decoder_worker)
    for use in ("task = input_q.get()", "if task is None", "codec, encoded_frame = task", "decode_error.set()"):
        assert use in worker
    assert list(inspect.signature(RTCRtpReceiver._send_rtcp_nack).parameters) == ["self", "media_ssrc", "lost"]
    assert list(inspect.signature(RTCRtpReceiver._send_rtcp_pli).parameters) == ["self", "media_ssrc"]
    routed = "await receiver._handle_rtp_packet(packet, arrival_time_ms=arrival_time_ms)"
    assert routed in inspect.getsource(RTCDtlsTransport._handle_rtp_data)


async def bound() -> tuple[RTCPeerConnection, Any, VideoReceiver]:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    receiver = connection.addTransceiver("video").receiver
    return connection, receiver, VideoReceiver(receiver)


async def test_only_the_receiver_that_is_given_is_changed() -> None:
    connection, receiver, video = await bound()
    audio: Any = connection.addTransceiver("audio").receiver
    other: Any = connection.addTransceiver("video").receiver
    for name in LEANED_ON:
        assert hasattr(receiver, PRIVATE + name)
    assert getattr(receiver, PRIVATE + "jitter_buffer") is video
    for stock in (audio, other):
        assert isinstance(getattr(stock, PRIVATE + "jitter_buffer"), JitterBuffer)
        assert "_handle_rtp_packet" not in vars(stock)
    await connection.close()


async def test_what_waits_for_the_decoder_is_bounded_and_the_end_overtakes_it() -> None:
    connection, receiver, video = await bound()
    feedback = [RTCRtcpFeedback("nack"), RTCRtcpFeedback("nack", "pli")]
    codec = RTCRtpCodecParameters("video/VP8", 90000, payloadType=96, rtcpFeedback=feedback)
    getattr(receiver, PRIVATE + "codecs")[96] = codec
    asked: list[int] = []

    async def pli(ssrc: int) -> None:
        asked.append(ssrc)

    receiver._send_rtcp_pli = pli
    repair = asyncio.create_task(video.run())
    for number in range(DECODER_FRAMES + 5):  # no thread decodes: the connection was never made
        first = b"\x10\x00" if number == 0 else b"\x10\x01"
        packet = RtpPacket(96, 1, number, number * 3000, ssrc=7, payload=first)
        await receiver._handle_rtp_packet(packet, arrival_time_ms=0)
    await asyncio.sleep(KEY_FRAME_SPACING + 0.05)  # since the first packet, which began one
    numbers = video.numbers()
    assert numbers["decoder_waiting"] == DECODER_FRAMES
    assert (numbers["frames_dropped_decoder"], numbers["frames_dropped_undecodable"]) == (1, 4)
    assert asked == [7]
    waiting = getattr(receiver, PRIVATE + "decoder_queue")
    waiting.put(None)
    assert waiting.get_nowait() is None
    assert waiting.empty()
    repair.cancel()
    await asyncio.gather(repair, return_exceptions=True)
    await connection.close()


def new_pictures(client: RtcClient, since: float) -> list[float]:
    """When each picture came that was not shown before: the server repeats the last one in a gap."""
    seen: set[int | None] = {None}
    times = []
    for frame in client.received:
        if frame.number not in seen and frame.at >= since:
            seen.add(frame.number)
            times.append(frame.at)
    return times


async def lossy(client: RtcClient) -> LossyPath:
    await client.frames(20)
    return LossyPath(client.pc.getSenders()[0])


@pytest.mark.parametrize("codec", ["video/VP8", "video/H264"])
async def test_one_packet_lost_for_good_does_not_freeze_the_picture(start_server: StartServer, codec: str) -> None:
    server = await start_server("identity")
    async with RtcClient(server.url, codec=codec, repairs=True) as client:
        path = await lossy(client)
        begin = time.monotonic()
        path.lose_for_good()
        await client.frames(60)
        times = new_pictures(client, begin - 0.3)  # with the last one before
        freeze = max(later - earlier for earlier, later in pairwise(times))
        numbers = await numbers_of(server)
        print(f"{codec}: frozen for {freeze * 1000:.0f} ms after one packet lost for good")  # noqa: T201  a figure
        assert path.dropped >= 2  # with at least one retransmission
        assert numbers["holes_given_up"] == numbers["packets_lost"] == 1
        assert numbers["plis_sent"] >= 1
        assert numbers["key_frames_received"] >= 2
        assert 0.15 < freeze < 0.5


async def test_picture_keeps_flowing_at_five_percent_loss_both_ways(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with RtcClient(server.url, repairs=True) as client:
        path = await lossy(client)
        path.percent = 5
        begin = time.monotonic()
        await asyncio.sleep(5)
        times = new_pictures(client, begin)
        gap = max(later - earlier for earlier, later in pairwise(times))
        numbers = await numbers_of(server)
        print(  # noqa: T201  a figure
            f"5 % loss: {len(times) / 5:.1f} pictures a second of 30, longest gap {gap * 1000:.0f} ms, "
            f"{path.dropped} packets dropped, {numbers['packets_recovered']:.0f} recovered at the server"
        )
        assert numbers["packets_recovered"] > 3
        assert len(times) > 75
        assert gap < 1


async def numbers_of(server: RunningServer) -> dict[str, float]:
    (session,) = server.manager.sessions.values()
    transport: Any = session._transport
    numbers: dict[str, float] = await transport._peer.numbers()
    return numbers
