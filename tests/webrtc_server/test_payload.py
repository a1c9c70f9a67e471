"""Where frames begin and which can be decoded alone; checked against what the real encoders make."""

from __future__ import annotations

import fractions

import av
import pytest
from aiortc.codecs import CODECS, get_encoder
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.rtc_client import camera_pictures
from webrtc_server.media.payload import CODECS as READABLE
from webrtc_server.media.payload import Look, look

BOTH, BEGINS, NOTHING = Look(True, True), Look(True, False), Look()


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ("10 00", BOTH),
        ("10 01", BEGINS),
        ("00 00", NOTHING),  # a later packet
        ("11 00", NOTHING),  # another partition
        ("90 00 00", BOTH),
        ("90 80 05 01", BEGINS),  # picture number in one byte
        ("90 80 85 07 00", BOTH),  # in two
        ("90 c0 85 07 01 01", BEGINS),  # and the number of the base layer
        ("90 e0 85 07 01 20 00", BOTH),  # and the layer
        ("90 10 03 00", BOTH),  # key index alone
        ("90 80 85 07", NOTHING),  # cut off
        ("90", NOTHING),
        ("", NOTHING),
    ],
)
def test_vp8(payload: str, expected: Look) -> None:
    assert look("VP8", bytes.fromhex(payload)) == expected


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ("67 42", BOTH),  # SPS
        ("68 ce", BEGINS),  # PPS
        ("09 10", BEGINS),  # delimiter
        ("06 05", BEGINS),  # SEI
        ("65 88", BOTH),  # IDR, first macroblock
        ("65 48", NOTHING),  # IDR, second slice
        ("41 9a", BEGINS),
        ("41 3a", NOTHING),
        ("7c 85 88", BOTH),  # FU-A, first piece of an IDR
        ("7c 05 88", NOTHING),  # a later piece
        ("5c 81 9a", BEGINS),
        ("78 00 02 67 42 00 02 65 88", BOTH),  # STAP-A
        ("78 00 02 09 10 00 02 41 9a", BEGINS),
        ("78 00 09 67", BOTH),  # cut off
        ("78 00 00 00", NOTHING),
        ("61", NOTHING),
        ("", NOTHING),
    ],
)
def test_h264(payload: str, expected: Look) -> None:
    assert look("H264", bytes.fromhex(payload)) == expected


@given(st.sampled_from(["VP8", "H264", "AV1"]), st.binary(max_size=40))
def test_anything_gets_an_answer(codec: str, payload: bytes) -> None:
    seen = look(codec, payload)
    assert seen.begins or not seen.key or codec == "H264"


def test_all_codecs_that_aiortc_receives_can_be_read() -> None:
    assert {codec.name for codec in CODECS["video"]} - {"rtx"} == set(READABLE)


@pytest.mark.parametrize("codec", READABLE)
def test_real_encoders(codec: str) -> None:
    parameters = next(entry for entry in CODECS["video"] if entry.name == codec)
    encoder = get_encoder(parameters)
    looks = []
    for index, picture in enumerate(camera_pictures(640, 480, 3)):
        frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
        frame.pts, frame.time_base = index * 3000, fractions.Fraction(1, 90000)
        payloads, _ = encoder.encode(frame, force_keyframe=index == 2)
        looks.append([look(codec, payload) for payload in payloads])
    assert [frame[0] for frame in looks] == [BOTH, BEGINS, BOTH]
    assert [len([one for one in frame[1:] if one.begins and codec == "VP8"]) for frame in looks] == [0, 0, 0]
