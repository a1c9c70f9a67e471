"""What the first bytes of a video packet say: may a frame begin here, can it be decoded without any before it. Pure.

VP8 after RFC 7741 sections 4.2 and 4.3, H.264 after RFC 6184 sections 5.2 to 5.8 and ISO 14496-10 section 7.3.
Whatever a peer sends gets an answer; nonsense begins nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

CODECS = ("VP8", "H264")  # what `look` can read; a frame of another codec is never taken for a key frame

_SLICE, _IDR, _SEI, _SPS, _PPS, _DELIMITER, _STAP_A, _FU_A = 1, 5, 6, 7, 8, 9, 24, 28


@dataclass(frozen=True)
class Look:
    """`key` implies `begins`: decoding can start at this packet."""

    begins: bool = False
    key: bool = False


NOTHING = Look()


def look(codec: str, payload: bytes) -> Look:
    """`codec` is the name in the SDP, `payload` the RTP payload with the codec's own header."""
    match codec.upper():
        case "VP8":
            return _vp8(payload)
        case "H264":
            return _h264(payload)
    return NOTHING


def _vp8(payload: bytes) -> Look:
    if not payload or payload[0] & 0x1F != 0x10:  # S, and partition 0: the first packet of a frame
        return NOTHING
    position = 1
    if payload[0] & 0x80:  # X
        extended = payload[1] if len(payload) > 1 else 0
        position = 2
        if extended & 0x80:  # I: a picture number of one or two bytes
            position += 2 if len(payload) > position and payload[position] & 0x80 else 1
        position += bool(extended & 0x40)  # L
        position += bool(extended & 0x30)  # T or K, which share a byte
    if len(payload) <= position:
        return NOTHING
    return Look(begins=True, key=not payload[position] & 0x01)


def _h264(payload: bytes) -> Look:
    if len(payload) < 2:
        return NOTHING
    kind = payload[0] & 0x1F
    if kind == _FU_A:
        begins_unit = bool(payload[1] & 0x80)
        return _unit(payload[1] & 0x1F, payload[2:]) if begins_unit else NOTHING
    if kind == _STAP_A:
        looks = list(_aggregated(payload))
        return Look(bool(looks) and looks[0].begins, any(one.key for one in looks))
    return _unit(kind, payload[1:])


def _aggregated(payload: bytes) -> list[Look]:
    looks = []
    position = 1
    while position + 2 < len(payload):
        size = int.from_bytes(payload[position : position + 2], "big")
        unit = payload[position + 2 : position + 2 + size]
        if unit:
            looks.append(_unit(unit[0] & 0x1F, unit[1:]))
        position += 2 + size
    return looks


def _unit(kind: int, body: bytes) -> Look:
    """An IDR slice alone is a key frame too: a decoder keeps its parameter sets. `first_mb_in_slice` is 0 if its
    first bit is 1 (Exp-Golomb)."""
    if kind == _SPS:
        return Look(True, True)
    if kind in (_SLICE, _IDR):
        first = bool(body) and bool(body[0] & 0x80)
        return Look(first, first and kind == _IDR)
    return Look(begins=kind in (_SEI, _PPS, _DELIMITER))
