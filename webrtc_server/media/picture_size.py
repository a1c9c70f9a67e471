"""The size of the pictures that a frame's bytes announce, before a decoder makes room for them. Pure.

A few bytes of a key frame can ask a decoder for 16383x16383 pictures, half a gigabyte each, and H.264 for 16 of them.
VP8 after RFC 6386 section 9.1, H.264 after ISO 14496-10 sections 7.3.2.1 and 7.4.2.1. `rtc/receiver.py` asks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipeline.worker.memory import fits

Size = tuple[int, int]  # width and height as coded, before cropping

UNREADABLE: Size = (0, 0)  # of a parameter set that says nothing clear; fits no more than the largest there is
VP8_START = b"\x9d\x01\x2a"
UNIT_START = b"\0\0\1"
ESCAPED = b"\0\0\3"
SPS_START = re.compile(rb"\x00\x00\x01[\x07\x27\x47\x67\x87\xa7\xc7\xe7]")  # type 7 in the lower five bits
SPS_MAX = 32  # to a frame, as many as can be told apart; encoders send one
# ISO 14496-10 annex A: baseline, main and extended, which have no word of colour; then high, high 10, 4:2:2, 4:4:4.
PLAIN_PROFILES, COLOUR_PROFILES = (66, 77, 88), (100, 110, 122, 244)
ZEROS_MAX = 16  # of an Exp-Golomb code; no field that is read here has more than 8
CYCLE_MAX = 255  # num_ref_frames_in_pic_order_cnt_cycle


def too_large(codec: str, data: bytes) -> Size | None:
    """The size that a whole frame announces if such a picture may not cross (`pipeline.worker.memory.fits`), or None.

    (0, 0) if it is H.264 that hides its size.
    """
    return next((size for size in _sizes(codec, data) if not fits(*size)), None)


def _sizes(codec: str, data: bytes) -> Iterator[Size]:
    match codec.upper():
        case "VP8":
            if len(data) >= 10 and not data[0] & 0x01 and data[3:6] == VP8_START:
                yield int.from_bytes(data[6:8], "little") & 0x3FFF, int.from_bytes(data[8:10], "little") & 0x3FFF
        case "H264":
            yield from _h264(data)


def _h264(data: bytes) -> Iterator[Size]:
    """Of every sequence parameter set. Start codes are looked for in the bytes, as decoders do, so that none can hide
    inside another unit; and it is read with its escapes and without, as libavcodec does if the one makes no sense."""
    for count, start in enumerate(SPS_START.finditer(data)):
        if count == SPS_MAX:
            yield UNREADABLE
            return
        body = data[start.end() :].partition(UNIT_START)[0]
        yield _sps(body.replace(ESCAPED, ESCAPED[:2])) or UNREADABLE
        if ESCAPED in body and (as_it_is := _sps(body)):
            yield as_it_is


def _sps(body: bytes) -> Size | None:
    """None: cut off, or of a kind that WebRTC has no use for."""
    try:
        return _read_sps(_Bits(body))
    except IndexError:
        return None


def _read_sps(bits: _Bits) -> Size | None:
    profile = bits.take(8)
    bits.take(16)  # constraints, level
    bits.unsigned()  # its own number
    if profile in COLOUR_PROFILES:
        if bits.unsigned() == 3:  # chroma_format_idc
            bits.take(1)
        bits.unsigned()  # bits of luma
        bits.unsigned()  # of chroma
        bits.take(1)  # lossless
        if bits.take(1):  # scaling matrices
            return None
    elif profile not in PLAIN_PROFILES:
        return None
    bits.unsigned()  # bits of frame_num
    order = bits.unsigned()
    if order == 0:
        bits.unsigned()
    elif order == 1:
        bits.take(1)
        bits.unsigned()  # signed, of the same length
        bits.unsigned()
        cycle = bits.unsigned()
        if cycle > CYCLE_MAX:
            return None
        for _ in range(cycle):
            bits.unsigned()
    elif order > 2:
        return None
    bits.unsigned()  # reference frames
    bits.take(1)  # gaps
    width, height = bits.unsigned() + 1, bits.unsigned() + 1
    fields = not bits.take(1)  # then the height is of one of two
    return width * 16, height * 16 * (1 + fields)


class _Bits:
    """Reads from the highest bit on. Raises IndexError at the end, and for a number longer than any field has."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def take(self, count: int) -> int:
        value = 0
        for position in range(self._position, self._position + count):
            value = value << 1 | self._data[position >> 3] >> (7 - (position & 7)) & 1
        self._position += count
        return value

    def unsigned(self) -> int:
        """ue(v), ISO 14496-10 section 9.1."""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > ZEROS_MAX:
                raise IndexError
        return (1 << zeros) - 1 + self.take(zeros)
