"""What is fuzzed: functions that take hostile bytes and raise only if a promise is broken.

`run.py` drives them with atheris or without, `test_fuzz.py` replays what was kept of it in `corpus/`. Nothing here
opens a socket.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
from aiortc.codecs import depayload
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from aiortc.rtp import RtcpPacket, RtpPacket
from aiortc.sdp import SessionDescription

from pipeline.errors import BadFrame
from pipeline.picture_file import decode
from pipeline.settings import InvalidSettings, Settings, merge
from pipeline.worker.memory import fits
from tests.fakes.h264 import key_frame
from tests.fakes.offers import candidate, offer, section
from tests.fuzz.bombs import png, small_jpeg
from webrtc_server import limits
from webrtc_server.media.assemble import CAPACITY, Frame
from webrtc_server.media.inbound import Arrived, Inbound
from webrtc_server.media.picture_size import too_large
from webrtc_server.protocol import messages
from webrtc_server.protocol.control import ControlProtocol, Reply
from webrtc_server.protocol.error_codes import ClientError
from webrtc_server.protocol.json_guard import parse_object
from webrtc_server.protocol.messages import SettingsMessage, encode
from webrtc_server.protocol.sdp_guard import plan, plan_view
from webrtc_server.web.tls_site import plain_answer

CORPUS = Path(__file__).parent / "corpus"
SECONDS = 1.0  # of CPU for one input; the promise is 0.25, a coverage-guided run is several times slower
REPLIES = {name: model for model, name in messages._TYPES.items()}
CODECS = ("VP8", "H264")


@dataclass(frozen=True)
class Target:
    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    largest: int  # bytes of an input that is tried

    def __call__(self, data: bytes) -> None:
        """Raises whatever shows that a promise is broken."""
        begun = time.thread_time()
        self.run(data)
        took = time.thread_time() - begun
        assert took < SECONDS, f"{took:.2f} s of CPU"


# Offers


def sdp(data: bytes) -> None:
    """Refused with a code, or small enough for aiortc, which may refuse it as it likes."""
    text = data.decode("utf-8", "surrogateescape")
    for guard in (plan, plan_view):
        try:
            planned = guard(text)
        except ClientError:
            continue
        try:
            parsed = SessionDescription.parse(planned.sdp)
        except Exception:
            continue
        assert len(parsed.media) <= limits.SDP_MEDIA_SECTIONS
        offered = [one for media in parsed.media for one in media.ice_candidates]
        assert len(offered) <= limits.SDP_CANDIDATES
        assert all(one.protocol.lower() == "udp" and one.component == 1 for one in offered)
        assert len({one.ip.lower() for one in offered if one.ip.endswith(".local")}) <= limits.SDP_MDNS_NAMES


def _offers() -> list[bytes]:
    candidates = candidate("10.0.0.1") + candidate("abc.local") + candidate("10.0.0.1", 9, "tcp")
    codecs = "a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtcp-fb:* nack pli\r\na=rtcp-fb:96 goog-remb\r\n"
    ids = (
        "a=ssrc-group:FID 1 2\r\na=ssrc:1 cname:x\r\na=extmap:1/sendonly urn:x\r\na=msid:a b\r\na=rtcp:9 IN IP4 0.0.0.0"
    )
    data = section(1, "a=sctp-port:5000\r\na=max-message-size:1\r\n", kind="application").replace("SAVPF 96", "SAVPF x")
    offers = [offer(section()), offer("a=group:BUNDLE 0 1\r\n", section(extra=f"{candidates}{codecs}{ids}\r\n"), data)]
    return [
        one.encode() for one in [*offers, offer(section().replace("sendrecv", "recvonly"), section(1, codec="H264"))]
    ]


# Pictures


def image(data: bytes) -> None:
    """Refused with a code, or a picture of a size that may cross."""
    try:
        frame, _ = decode(data)
    except BadFrame:
        return
    assert fits(frame.width, frame.height)


def _images() -> list[bytes]:
    kinds = [(8, 2), (16, 6), (1, 0), (8, 3), (4, 0), (16, 0), (8, 4)]
    return [*(png(9, 5, depth, colour) for depth, colour in kinds), small_jpeg()]


# Messages


def protocol(data: bytes) -> None:
    """Every message gets an answer that the schema knows; settings are refused with the one error that is for it."""
    control = ControlProtocol()
    current, version = Settings(), 0
    for line in data.split(b"\n")[:16]:
        text = line.decode("utf-8", "surrogateescape")
        version += 1
        for outcome in control.receive(text, float(version)):
            if isinstance(outcome, Reply):
                checked_reply(encode(outcome.data, outcome.id))
            elif isinstance(outcome, SettingsMessage):
                try:
                    current = merge(current, outcome.data, ("identity", "effects")).settings
                except InvalidSettings:
                    pass
                assert Settings.model_validate_json(current.model_dump_json()) == current
    try:
        parse_object(data)
    except ClientError:
        pass


def checked_reply(text: str) -> dict[str, Any]:
    """A message of the server, held against its model."""
    assert len(text.encode()) <= limits.SERVER_MESSAGE_BYTES
    message: dict[str, Any] = json.loads(text)
    assert message.keys() <= {"type", "data", "id"}
    REPLIES[message["type"]].model_validate_json(json.dumps(message["data"]))
    return message


def _messages() -> list[bytes]:
    values = {name: value for name, value in Settings().model_dump(mode="json").items() if name != "prompts"}
    texts = [
        {"type": "settings", "data": values, "id": "1"},
        {"type": "settings", "data": {"prompts": [{"text": "a", "weight": 2.5}, {"text": "\u00e9"}]}},
        {"type": "settings", "data": {"steps": 9, "nonsense": [[[{}]]], "seed": 1e300}},
        {"type": "ping", "data": {"t": -0.0}},
        {"type": "subscribe_stats", "data": {"interval_s": None}},
        {"type": "load_model", "data": {"model": "../x"}},
        {"type": "get_status"},
    ]
    one_by_one = [json.dumps(text).encode() for text in texts]
    return [*one_by_one, b"\n".join(one_by_one), rb'{"type":"settings","data":{"prompt":"\ud83d\ude00\u202e"}}']


# Media


def rtp(data: bytes) -> None:
    """Packets, each behind two bytes of its length: what is held is bounded, frames come in order, once."""
    inbound, codec, now = Inbound(), "VP8", 0.0
    frames: list[Frame] = []
    for packet in _packets(data):
        codec = CODECS[packet[0] & 1]
        now += packet[0] / 256
        parse_rtcp(packet)
        try:
            parsed = RtpPacket.parse(packet)
            parameters = RTCRtpCodecParameters(f"video/{codec}", 90_000)
            payload = depayload(parameters, parsed.payload) if parsed.payload else b""
        except ValueError:
            continue
        arrived = Arrived(
            parsed.ssrc & 1,
            parsed.sequence_number,
            parsed.timestamp,
            bool(parsed.marker),
            codec,
            parsed.payload,
            payload,
            bool(packet[0] & 2),
        )
        restarted = inbound.ssrc
        new = inbound.receive(arrived, now)
        if inbound.ssrc != restarted or (new and frames and new[0].first <= frames[-1].last):
            frames = []
        frames += new
        actions = inbound.tick(now)
        frames += actions.frames
        assert actions.wake is None or actions.wake >= 0
        assert len(set(actions.nack)) == len(actions.nack)
        assert all(0 <= number < 1 << 16 for number in actions.nack)
        numbers = inbound.numbers()
        assert 0 <= numbers["packets_waiting"] <= CAPACITY
        for frame in new:
            too_large(codec, frame.data)
    assert all(earlier.last < later.first for earlier, later in pairwise(frames))


def parse_rtcp(packet: bytes) -> None:
    """aiortc's own; it refuses with ValueError."""
    try:
        RtcpPacket.parse(packet)
    except ValueError:
        pass


def _packets(data: bytes) -> Iterator[bytes]:
    position = 0
    while position + 3 < len(data):
        size = int.from_bytes(data[position : position + 2])
        packet = data[position + 2 : position + 2 + size]
        if packet:
            yield packet
        position += 2 + size


def _streams() -> list[bytes]:
    streams = []
    for codec, payloads in (
        ("VP8", [b"\x10\x00\0\0\x9d\1\x2a\x80\2\xe0\1", b"\x00\x01", b"\x90\x80\x85\x07\x01"]),
        ("H264", [b"\x67\x42\0\x1f" + bytes(20), b"\x7c\x85\x88", b"\x7c\x45\x88", b"\x78\0\2\x67\x42\0\2\x65\x88"]),
    ):
        packets = []
        for number, payload in enumerate(payloads):
            packet = RtpPacket(97 if codec == "H264" else 96, number % 2, 65_534 + number & 0xFFFF, number * 3000)
            packet.ssrc, packet.payload = 1, payload
            packets.append(packet.serialize())
        streams.append(b"".join(len(one).to_bytes(2) + one for one in packets))
    return streams


def decoder(data: bytes) -> None:
    """What is let through to the decoder makes no picture that may not cross. The first byte says which codec."""
    codec = CODECS[data[0] & 1] if data else "VP8"
    if too_large(codec, data[1:]):
        return
    context = av.CodecContext.create({"VP8": "libvpx", "H264": "h264"}[codec], "r")
    assert isinstance(context, av.VideoCodecContext)
    try:
        pictures = [*context.decode(av.Packet(data[1:])), *context.decode(None)]
    except av.FFmpegError:
        pictures = []
    assert all(fits(picture.width, picture.height) for picture in pictures)
    assert not context.coded_width or fits(context.coded_width, context.coded_height)


def _key_frames() -> list[bytes]:
    sizes = [(64, 48), (16_368, 64)]
    made = [bytes([number]) + key_frame(codec, *size) for number, codec in enumerate(CODECS) for size in sizes]
    for number, name in enumerate(("libvpx", "libx264")):
        encoder = av.CodecContext.create(name, "w")
        assert isinstance(encoder, av.VideoCodecContext)
        encoder.width, encoder.height, encoder.pix_fmt = 32, 16, "yuv420p"
        packets = [*encoder.encode(av.VideoFrame(32, 16, "yuv420p")), *encoder.encode(None)]
        made.append(bytes([number]) + b"".join(map(bytes, packets)))
    return made


# HTTP


def plain_http(data: bytes) -> None:
    """What comes unencrypted to a port of HTTPS gets one whole answer, which says nothing of its own in the head."""
    head, _, body = plain_answer(data).partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    names = [line.partition(b": ")[0] for line in lines]
    assert b"\n" not in head.replace(b"\r\n", b"")
    assert names in (FIXED, [b"Location", *FIXED])
    assert status.endswith((b"400 Bad Request", b"307 Temporary Redirect"))
    assert len(body) in (0, int(lines[names.index(b"Content-Length")].partition(b": ")[2]))


FIXED = [b"Content-Type", b"Content-Length", b"Connection"]


def _requests() -> list[bytes]:
    return [
        b"GET /view/x?stats=1 HTTP/1.1\r\nAccept: */*\r\nHost: phone.test:8000\r\n\r\n",
        b"HEAD / HTTP/1.0\r\nhost:[::1]\r\n\r\n",
        b"GET /" + b"a: b\r\n" * 600,
        b"POST / HTTP/1.1\r\nHost: a\r\n\r\n",
    ]


TARGETS = {
    "sdp": Target(sdp, _offers, 4096),
    "image": Target(image, _images, 4096),
    "protocol": Target(protocol, _messages, 4096),
    "rtp": Target(rtp, _streams, 2048),
    "decoder": Target(decoder, _key_frames, 2048),
    "plain_http": Target(plain_http, _requests, 4096),
}


def corpus(name: str) -> list[bytes]:
    """The seeds of a target, and what was kept of its runs."""
    return [*TARGETS[name].seeds(), *(path.read_bytes() for path in sorted((CORPUS / name).glob("*")))]
