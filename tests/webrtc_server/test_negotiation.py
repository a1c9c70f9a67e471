"""What answers choose: the codec that costs the server least, whatever order the offer has, and honoured as offered."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection

from tests.conftest import StartServer
from tests.fakes.rtc_client import RtcClient
from webrtc_server.protocol.error_codes import ClientError, Code
from webrtc_server.protocol.sdp_guard import codec, plan, plan_view
from webrtc_server.rtc.peer import Peer
from webrtc_server.rtc.reach import Reach
from webrtc_server.rtc.relay import Broadcast, Sending
from webrtc_server.rtc.track_out import PaintedTrack


class Nobody:
    """Hears nothing, for peers that are not to connect."""

    captured = refused = channel_opened = text_received = gone = lambda *_: None
    connected = camera_ended = binary_received = lambda _: None


@pytest.fixture
async def offer() -> AsyncIterator[str]:
    """As aiortc offers: VP8 first, H.264 of two profiles after it."""
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.addTransceiver("video")
    await connection.setLocalDescription(await connection.createOffer())
    yield str(connection.localDescription.sdp)
    await connection.close()


async def answered(sdp: str, watching: bool = False) -> str:
    video = Broadcast(PaintedTrack(lambda: None, lambda frame: frame), Sending(None))  # type: ignore[arg-type]
    peer = Peer(Reach(), Nobody())
    try:
        return await peer.answer(plan_view(sdp) if watching else plan(sdp), video.track())
    finally:
        await video.close()
        await peer.close()


def without(sdp: str, name: str) -> str:
    """The offer as of a peer that does not know the codec `name`."""
    return sdp.replace(f" {name}/90000", " AV1/90000")


async def test_h264_constrained_baseline_comes_first_whatever_the_offer_prefers(offer: str) -> None:
    assert codec(offer, "0") == "VP8"
    answer = await answered(offer)
    assert codec(answer, "0") == "H264"
    first = re.search(r"m=video \d+ \S+ (\d+)", answer)
    assert first
    parameters = next(line for line in answer.splitlines() if line.startswith(f"a=fmtp:{first[1]} "))
    assert "profile-level-id=42e01f" in parameters
    assert "packetization-mode=1" in parameters
    assert "x-google-start-bitrate" in parameters


async def test_vp8_for_peers_without_h264_and_none_for_those_without_both(offer: str) -> None:
    assert codec(await answered(without(offer, "H264")), "0") == "VP8"
    with pytest.raises(ClientError) as refused:
        await answered(without(without(offer, "H264"), "VP8"))
    assert refused.value.code is Code.NO_COMMON_CODEC


async def test_h264_in_a_packetization_that_we_do_not_speak_is_not_answered(offer: str) -> None:
    assert codec(await answered(offer.replace("packetization-mode=1", "packetization-mode=0")), "0") == "VP8"


async def test_viewer_is_sent_to_only_and_its_uplink_is_not_raised(offer: str) -> None:
    answer = await answered(offer.replace("a=sendrecv", "a=recvonly"), watching=True)
    assert "a=sendonly" in answer
    assert "x-google" not in answer


async def test_picture_above_the_level_of_the_offer_comes_through(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with RtcClient(server.url, 1344, 1024, fps=5, codec="video/H264") as client:
        await client.frames(3)
        assert (client.received[-1].width, client.received[-1].height) == (1344, 1024)
