"""What the patches lean on is still there, and the patches do what they are for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from fractions import Fraction

import aioice.ice
import av
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, rtp
from aiortc.codecs import get_encoder
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from aiortc.rtcsctptransport import DataChunk, RTCSctpTransport

from tests.conftest import StartServer
from tests.fakes.offers import candidate, offer, section
from tests.fakes.rtc_client import RtcClient
from tests.webrtc_server.test_negotiation import Nobody
from webrtc_server.limits import CANDIDATES, SCTP_CHUNKS_AHEAD
from webrtc_server.protocol.sdp_guard import plan
from webrtc_server.rtc import feedback, patches
from webrtc_server.rtc.peer import Peer
from webrtc_server.rtc.reach import Reach
from webrtc_server.rtc.relay import Broadcast, Sending
from webrtc_server.rtc.track_out import PaintedTrack


async def test_what_ends_half_way_is_no_news(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(transport: object) -> None:
        raise ConnectionError

    async def wrong(transport: object) -> None:
        raise ValueError("wrong")

    connect = "_RTCPeerConnection__connect"
    for flush in (broken, wrong):
        monkeypatch.setattr(RTCSctpTransport, "_data_channel_flush", flush)
        monkeypatch.setattr(RTCPeerConnection, connect, wrong)
        patches.forget_what_ends_half_way()
        patches.forget_what_ends_half_way()
        await getattr(RTCPeerConnection, connect)(None)
        if flush is broken:
            await RTCSctpTransport._data_channel_flush(None)  # type: ignore[arg-type]
        else:
            with pytest.raises(ValueError, match="wrong"):
                await RTCSctpTransport._data_channel_flush(None)  # type: ignore[arg-type]


def test_loopback_comes_last_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["10.0.0.1"])
    patches.offer_loopback()
    patches.offer_loopback()
    assert aioice.ice.get_host_addresses(True, False) == ["10.0.0.1", "127.0.0.1"]
    assert aioice.ice.get_host_addresses(False, True) == ["10.0.0.1"]


DENIED = ("169.254.169.254", "127.0.0.1", "224.0.0.251", "255.255.255.255", "0.0.0.0", "2130706433", "localhost")


@pytest.fixture
def probed(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[tuple[str, int]]]:
    """Where aioice sends its checks; none goes out. Names are found to be a cloud's metadata."""
    sent: set[tuple[str, int]] = set()

    class Names:
        async def resolve(self, name: str) -> str:
            return "169.254.169.254"

    async def names(connection: aioice.Connection) -> Names:
        return Names()

    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"])
    monkeypatch.setattr(aioice.ice, "get_or_create_mdns_protocol", names)
    monkeypatch.setattr(aioice.ice.StunProtocol, "send_stun", lambda self, message, address: sent.add(address))
    validate = aioice.ice.validate_remote_candidate
    yield sent
    aioice.ice.validate_remote_candidate = validate


@pytest.mark.parametrize("loopback", [False, True])
async def test_no_packet_goes_to_an_address_that_is_ruled_out(probed: set[tuple[str, int]], loopback: bool) -> None:
    patches.refuse_candidates(not loopback)
    patches.refuse_candidates(loopback)
    lines = [candidate(address, 40_000) for address in (*DENIED, "abc.local")]
    sdp = offer(section(extra="".join([*lines, candidate("10.0.0.1", 53), candidate("10.0.0.1", 50_000)])))
    video = Broadcast(PaintedTrack(lambda: None, lambda frame: frame), Sending(None))  # type: ignore[arg-type]
    peer = Peer(Reach(), Nobody())
    await peer.answer(plan(sdp), video.track())
    expected = {("10.0.0.1", 50_000)} | ({("127.0.0.1", 40_000)} if loopback else set())
    async with asyncio.timeout(5):
        while not probed >= expected:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)  # ten more checks could have begun
    assert probed == expected
    await video.close()
    await peer.close()


async def test_checks_from_many_places_are_answered_up_to_the_limit(probed: set[tuple[str, int]]) -> None:
    incoming = aioice.Connection.check_incoming
    patches.bound_reflexive_candidates(True)
    patches.bound_reflexive_candidates(False)
    connection = aioice.Connection(ice_controlling=False)
    try:
        await connection.gather_candidates()
        connection.remote_username, connection.remote_password = "user", "password"
        (protocol,) = connection._protocols
        message = aioice.stun.Message(aioice.stun.Method.BINDING, aioice.stun.Class.REQUEST)
        message.attributes["PRIORITY"] = 1
        before = asyncio.all_tasks()
        denied = [(address, 40_000) for address in DENIED[:-2]]
        allowed = [("10.0.0.1", port) for port in range(1, CANDIDATES)] + [("fd00::1", 40_000)]
        for address in (*denied, *allowed, ("10.0.0.2", 40_000), allowed[0]):
            connection.check_incoming(message, address, protocol)
        assert [(each.host, each.port) for each in connection._remote_candidates] == allowed
        assert len(connection._check_list) == len(asyncio.all_tasks() - before) == CANDIDATES
        message.attributes["USE-CANDIDATE"] = None
        connection.check_incoming(message, allowed[-1], protocol)  # a known one is heard
        assert any(pair.remote_nominated for pair in connection._check_list)
    finally:
        await connection.close()
        aioice.Connection.check_incoming = incoming  # type: ignore[method-assign]
    assert {address for address, _ in probed} <= {"10.0.0.1", "fd00::1"}


async def test_connection_closed_in_the_moment_it_was_made_leaves_no_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"])
    patches.end_consent_checks_with_the_connection()
    patches.end_consent_checks_with_the_connection()
    one, other = aioice.Connection(ice_controlling=True), aioice.Connection(ice_controlling=False)
    for here, there in ((one, other), (other, one)):
        await here.gather_candidates()
        for local in here.local_candidates:
            await there.add_remote_candidate(local)
        await there.add_remote_candidate(None)
        there.remote_username, there.remote_password = here.local_username, here.local_password
    connecting = [asyncio.create_task(connection.connect()) for connection in (one, other)]
    deadline = time.monotonic() + 5
    while not one._check_list_done and time.monotonic() < deadline:  # `connect` has yet to hear of it
        await asyncio.sleep(0)
    await one.close()
    await asyncio.gather(*connecting, return_exceptions=True)
    await other.close()
    await asyncio.sleep(0.05)
    assert asyncio.all_tasks() == {asyncio.current_task()}


class Heard:
    """A `Feedback` that notes what it was told."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    def picture_lost(self) -> None:
        self.calls.append("picture lost")

    def estimated(self, bits: int) -> None:
        self.calls.append(("estimated", bits))

    def lost(self, fraction: float) -> None:
        self.calls.append(("lost", fraction))


async def test_receivers_words_are_heard_on_their_way_to_the_sender() -> None:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    sender = connection.addTransceiver("video").sender
    heard = Heard()
    feedback.listen(sender, heard)
    report = rtp.RtcpReceiverInfo(sender._ssrc, 64, 5, 0, 0, 0, 0)
    remb = rtp.pack_remb_fci(1_000_000, [sender._ssrc])
    for packet in (
        rtp.RtcpPsfbPacket(rtp.RTCP_PSFB_PLI, 1, sender._ssrc),
        rtp.RtcpPsfbPacket(rtp.RTCP_PSFB_FIR, 1, 0, b"\0" * 8),
        rtp.RtcpPsfbPacket(rtp.RTCP_PSFB_APP, 1, 0, remb),
        rtp.RtcpPsfbPacket(rtp.RTCP_PSFB_APP, 1, 0, rtp.pack_remb_fci(1, [sender._ssrc + 1])),
        rtp.RtcpPsfbPacket(rtp.RTCP_PSFB_APP, 1, 0, b"no estimate"),
        rtp.RtcpRrPacket(1, [report, rtp.RtcpReceiverInfo(7, 255, 0, 0, 0, 0, 0)]),
    ):
        await sender._handle_rtcp_packet(packet)
    assert heard.calls == ["picture lost", "picture lost", ("estimated", 1_000_000), ("lost", 0.25)]
    stats = await sender.getStats()
    assert any(entry.type == "remote-inbound-rtp" for entry in stats.values())  # aiortc's own part goes on
    await connection.close()


async def test_sender_takes_packets_and_only_cuts_them_up() -> None:
    """`rtc/relay.py` leans on it: a track may give `av.Packet`, and aiortc's encoder is never asked to encode."""
    for name, data in (("H264", b"\0\0\0\1\x65" + b"x" * 3000), ("VP8", b"y" * 3000)):
        packet = av.Packet(data)
        packet.pts, packet.time_base = 4500, Fraction(1, 90_000)
        payloads, timestamp = get_encoder(RTCRtpCodecParameters(f"video/{name}", 90_000)).pack(packet)
        assert (len(payloads), timestamp) == (3, 4500)


def data_chunk(tsn: int, data: bytes, flags: int = 0) -> DataChunk:
    chunk = DataChunk(flags=flags)
    chunk.tsn, chunk.stream_id, chunk.stream_seq, chunk.protocol, chunk.user_data = tsn, 1, 0, 51, data
    return chunk


async def association() -> tuple[RTCPeerConnection, RTCSctpTransport]:
    """Nothing that it sends goes anywhere."""
    patches.bound_channels()
    patches.bound_channels()
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.createDataChannel("x")
    sctp = connection.sctp
    assert sctp
    sctp._last_received_tsn = 0

    async def send_nothing(chunk: object) -> None: ...

    sctp._send_chunk = send_nothing  # type: ignore[method-assign]
    sctp._set_state(RTCSctpTransport.State.ESTABLISHED)
    return connection, sctp


async def test_a_message_without_end_is_held_up_to_the_window() -> None:
    connection, sctp = await association()
    window, piece = sctp._advertised_rwnd, bytes(1024)
    for number in range(window // 1024):
        await sctp._receive_data_chunk(data_chunk(number + 1, piece, flags=2 * (number == 0)))
    assert sctp._advertised_rwnd == 0
    assert sctp.state == "connected"
    await sctp._receive_data_chunk(data_chunk(window // 1024 + 1, b"1"))
    assert sctp.state == "closed"
    assert not sctp._inbound_streams
    await sctp._receive_data_chunk(data_chunk(window // 1024 + 2, b"1"))
    assert not sctp._inbound_streams
    await connection.close()


async def test_chunks_ahead_at_the_limit_and_one_above() -> None:
    connection, sctp = await association()
    for number in range(SCTP_CHUNKS_AHEAD + 1):
        await sctp._receive_data_chunk(data_chunk(2 + 2 * number, b"x"))
    assert len(sctp._sack_misordered) == SCTP_CHUNKS_AHEAD
    assert sctp.state == "connected"
    await sctp._receive_data_chunk(data_chunk(1, b"x"))  # the one that is missing is always taken
    assert len(sctp._sack_misordered) == SCTP_CHUNKS_AHEAD - 1
    await connection.close()


@pytest.mark.slow
async def test_a_message_without_end_costs_the_channel_and_not_the_video(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with RtcClient(server.url, 160, 120, fps=5) as client:
        await client.frames(3)
        assert client.pc.sctp
        client.pc.sctp._remote_max_message_size = 0  # what the answer says is ignored
        client.send_text("x" * 8_000_000)
        await client.until(lambda: client.channel is not None and client.channel.readyState == "closed", 30)
        await client.frames(5)
