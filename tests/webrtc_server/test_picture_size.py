"""Sizes read from frames of real encoders, from parameter sets written bit by bit, and from hostile ones."""

from __future__ import annotations

import time

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.worker.memory import fits
from tests.conftest import StartServer
from tests.fakes.h264 import key_frame, sps
from tests.fakes.rtc_client import RtcClient
from webrtc_server.media.picture_size import SPS_MAX, UNREADABLE, _sizes, too_large

ENCODERS = {"VP8": "libvpx", "H264": "libx264"}
SPS = b"\0\0\1\x67"


def encoded(codec: str, width: int, height: int, **options: str) -> bytes:
    encoder = av.CodecContext.create(ENCODERS[codec], "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt, encoder.options = width, height, "yuv420p", options
    frame = av.VideoFrame(width, height, "yuv420p")
    return b"".join(map(bytes, [*encoder.encode(frame), *encoder.encode(None)]))


@pytest.mark.parametrize("profile", ["baseline", "main", "high"])
@pytest.mark.parametrize(("width", "height"), [(640, 480), (322, 242), (1920, 1080), (16, 16)])
def test_h264_as_encoded(profile: str, width: int, height: int) -> None:
    data = encoded("H264", width, height, profile=profile)
    assert set(_sizes("H264", data)) == {(-(-width // 16) * 16, -(-height // 16) * 16)}
    assert too_large("H264", data) is None


def test_h264_of_fields() -> None:
    data = encoded("H264", 640, 480, profile="main", flags="+ildct+ilme", **{"x264-params": "interlaced=1"})
    assert set(_sizes("H264", data)) == {(640, 480)}


@pytest.mark.parametrize(("width", "height"), [(640, 480), (321, 241), (1, 1), (2048, 1020)])
def test_vp8_as_encoded(width: int, height: int) -> None:
    data = encoded("VP8", width, height) if min(width, height) > 1 else key_frame("VP8", 1, 1)
    assert list(_sizes("VP8", data)) == [(width, height)]
    assert too_large("VP8", data) is None


@pytest.mark.parametrize("codec", ["VP8", "H264"])
@pytest.mark.parametrize(
    ("width", "height"),
    [(2048, 16), (2064, 16), (1920, 1088), (1936, 1088), (1920, 1104), (16, 2064), (16_368, 16_368)],
)
def test_limits_are_those_of_all_pictures(codec: str, width: int, height: int) -> None:
    expected = None if fits(width, height) else (width, height)
    assert too_large(codec, key_frame(codec, width, height)) == expected


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("profile", [66, 100])
def test_ways_to_order_pictures(order: int, profile: int) -> None:
    assert list(_sizes("H264", SPS + sps(640, 480, profile, order))) == [(640, 480)]


@pytest.mark.parametrize(
    "data",
    [
        SPS,
        SPS + sps(640, 480)[:5],
        SPS + sps(640, 480, profile=138),  # decoders do not agree on how to read it
        SPS + sps(640, 480, order=3),
        SPS + sps(640, 480, profile=100, matrices=True),
        SPS + b"\x42\0\x1f" + b"\0" * 40,  # an endless number
        (SPS + sps(640, 480)) * (SPS_MAX + 1),
    ],
)
def test_what_hides_its_size_is_refused(data: bytes) -> None:
    assert too_large("H264", data) == UNREADABLE


def test_no_place_to_hide() -> None:
    small, large = SPS + sps(640, 480), SPS + sps(16_368, 16_368)
    assert too_large("H264", small * SPS_MAX) is None
    assert too_large("H264", small + large) == (16_368, 16_368)
    assert too_large("H264", b"\0\0\1\x41 a slice " + large) == (16_368, 16_368)  # within another unit
    two_faced = bytes.fromhex("42 00 00 03 02 78 03 8e 48 01 ca 37 8c ca 71 46 ba 92")  # 16x16 without its escape
    assert too_large("H264", SPS + two_faced) == (14_560, 64)


@given(st.sampled_from(["VP8", "H264", "AV1"]), st.binary(max_size=60), st.booleans())
def test_anything_gets_an_answer(codec: str, data: bytes, after_start: bool) -> None:
    size = too_large(codec, SPS + data if after_start else data)
    assert size is None or not fits(*size)


@pytest.mark.parametrize("piece", [b"\0\0\1", SPS, SPS + sps(640, 480), b"\0\0\3", b"\0"])
def test_a_megabyte_of_anything_is_looked_through_at_once(piece: bytes) -> None:
    data = piece * (1_500_000 // len(piece))
    begun = time.thread_time()
    too_large("H264", data)
    assert time.thread_time() - begun < 0.05


async def test_what_is_too_large_is_not_decoded_and_the_client_is_told(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with RtcClient(server.url, 2064, 64, fps=5, codec="video/VP8") as client:
        error = await client.message("error", code="frame_too_large")
        assert "2064x64" in error["message"]
        (session,) = server.manager.sessions.values()
        numbers = await session._transport._peer.numbers()  # type: ignore[union-attr]
        assert numbers["frames_too_large"] >= 1
        assert session.statistics.dropped["too_large"] >= 1
        assert not client.received
