"""The encoders: what a decoder gives is what was put in, sharp and in its colours, at the rate asked for."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from tests.fakes.rtc_client import camera_pictures
from webrtc_server.media.bitrate import rates
from webrtc_server.media.pacer import TICKS
from webrtc_server.rtc.encoder import CodecName, Encoder, level, make

CODECS: list[CodecName] = ["H264", "VP8"]
# BT.601 limited range: white, yellow, cyan, green, magenta, red, blue, black at 75 % (ITU-R BT.471).
BARS = [(180, 128, 128), (162, 44, 142), (131, 156, 44), (112, 72, 58), (84, 184, 198), (65, 100, 212), (35, 212, 114)]


def frame_of(picture: NDArray[np.uint8], number: int, fps: int = 30) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
    frame.pts, frame.time_base = number * TICKS // fps, Fraction(1, TICKS)
    return frame


def decoder(codec: CodecName) -> av.VideoCodecContext:
    made = av.CodecContext.create("h264" if codec == "H264" else "libvpx", "r")
    assert isinstance(made, av.VideoCodecContext)
    made.thread_count = 1
    return made


def colour_bars(width: int, height: int) -> NDArray[np.uint8]:
    luma, u, v = (np.empty((height // scale, width // scale), np.uint8) for scale in (1, 2, 2))
    for plane, values in zip((luma, u, v), zip(*BARS, strict=True), strict=True):
        edges = np.linspace(0, plane.shape[1], len(BARS) + 1).astype(int)
        for value, left, right in zip(values, edges, edges[1:], strict=False):
            plane[:, left:right] = value
    return np.concatenate([plane.reshape(-1) for plane in (luma, u, v)]).reshape(height * 3 // 2, width)


def noisy(width: int, height: int, count: int) -> list[NDArray[np.uint8]]:
    """Pictures that need all the bits there are."""
    rng = np.random.default_rng(1)
    return [rng.integers(16, 235, (height * 3 // 2, width), np.uint8) for _ in range(count)]


def bits_a_second(encoder: Encoder, pictures: list[NDArray[np.uint8]], begin: int, count: int, fps: int) -> float:
    sizes = [
        encoder.encode(frame_of(pictures[i % len(pictures)], i, fps), False).size for i in range(begin, begin + count)
    ]
    return sum(sizes) * 8 * fps / count


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(("width", "height"), [(512, 512), (640, 480), (1280, 720)])
def test_decoded_picture_is_the_one_put_in(codec: CodecName, width: int, height: int) -> None:
    sizes = rates(width, height)
    encoder, decode = make(codec, width, height, sizes, sizes.start), decoder(codec)
    pictures = camera_pictures(width, height)
    worst = 99.0
    for number in range(20):
        picture = pictures[number % len(pictures)]
        packet = encoder.encode(frame_of(picture, number), number == 0)
        assert packet.pts == number * 3000
        assert packet.is_keyframe == (number == 0)
        (shown,) = decode.decode(av.Packet(bytes(packet)))
        error = float(((shown.to_ndarray().astype(float) - picture) ** 2).mean())
        if number >= 10:  # a third of a second: from then on it is to be sharp
            worst = min(worst, 10 * np.log10(255**2 / error))
    assert worst >= 38


@pytest.mark.parametrize("codec", CODECS)
def test_colour_bars_keep_their_colours(codec: CodecName) -> None:
    bars = colour_bars(640, 480)
    encoder, decode = make(codec, 640, 480, rates(640, 480), 1_500_000), decoder(codec)
    for number in range(10):
        (shown,) = decode.decode(av.Packet(bytes(encoder.encode(frame_of(bars, number), number == 0))))
    if codec == "H264":  # VP8 has no flags: it is BT.601 limited by definition (RFC 6386 section 9.2)
        assert (shown.color_range, shown.colorspace) == (ColorRange.MPEG, Colorspace.ITU601)
    planes = [np.frombuffer(memoryview(p), np.uint8).reshape(-1, p.line_size)[:, : p.width] for p in shown.planes]
    for index, expected in enumerate(BARS):
        seen = [float(p[:, round((index + 0.5) / len(BARS) * p.shape[1])].mean()) for p in planes]
        assert np.abs(np.subtract(seen, expected)).max() <= 1.5


@pytest.mark.parametrize("fps", [30, 10])
def test_h264_obeys_a_new_rate_in_the_same_stream_whatever_the_frame_rate(fps: int) -> None:
    encoder = make("H264", 320, 240, rates(320, 240, 2_000_000), 1_000_000)
    pictures, begin = noisy(320, 240, 8), 0
    for wanted in (1_000_000, 400_000, 2_000_000):
        encoder.set_rate(wanted, fps)
        bits_a_second(encoder, pictures, begin, fps, fps)
        seen = bits_a_second(encoder, pictures, begin + fps, 2 * fps, fps)
        assert 0.6 * wanted < seen < 1.15 * wanted
        begin += 3 * fps


@pytest.mark.parametrize("codec", CODECS)
def test_key_frames_come_when_asked_for_and_only_then(codec: CodecName) -> None:
    encoder = make(codec, 160, 120, rates(160, 120), 300_000)
    pictures = noisy(160, 120, 5)
    keys = [i for i in range(400) if encoder.encode(frame_of(pictures[i % 5], i), i in (100, 250)).is_keyframe]
    assert keys == [0, 100, 250]


def test_odd_picture_is_cut_for_h264_and_not_scaled() -> None:
    encoder, decode = make("H264", 323, 241, rates(323, 241, 9_000_000), 9_000_000), decoder("H264")
    stripes = av.VideoFrame(323, 241, "yuv420p")
    for plane in stripes.planes:
        np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[:] = (
            np.arange(plane.line_size) % 2 * 90 + 60
        )
    for number in range(3):
        stripes.pts, stripes.time_base = number * 3000, Fraction(1, TICKS)
        (shown,) = decode.decode(av.Packet(bytes(encoder.encode(stripes, False))))
        assert (shown.width, shown.height) == (322, 240)
    columns = shown.to_ndarray()[:240].mean(axis=0)
    assert np.abs(columns - (np.arange(322) % 2 * 90 + 60)).max() < 15


def test_level_fits_the_size() -> None:
    assert [level(*size) for size in ((256, 256), (1280, 720), (1024, 1024), (1920, 1080), (2048, 2048))] == [
        "3.1",
        "3.1",
        "3.2",
        "4.0",
        "5.1",
    ]
    sps = bytes(make("H264", 640, 480, rates(640, 480), 1_000_000).encode(frame_of(noisy(640, 480, 1)[0], 0), True))
    profile, constraints, level_idc = sps[sps.index(b"\x00\x00\x01\x67") + 4 :][:3]
    assert (profile, constraints & 0x40, level_idc) == (66, 0x40, 31)  # baseline with constraint_set1, level 3.1
