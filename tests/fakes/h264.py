"""H.264 parameter sets and VP8 key frame heads, written bit by bit: of sizes that no encoder would be asked for."""

from __future__ import annotations


def _unsigned(value: int) -> str:
    """ue(v), ISO 14496-10 section 9.1."""
    digits = f"{value + 1:b}"
    return "0" * (len(digits) - 1) + digits


def sps(width: int, height: int, profile: int = 66, order: int = 0, matrices: bool = False) -> bytes:
    """What follows the unit's first byte (section 7.3.2.1.1), without escapes. Multiples of 16."""
    bits = f"{profile:08b}{0:08b}{52:08b}" + _unsigned(0)
    if profile >= 100:
        bits += _unsigned(1) + _unsigned(0) * 2 + "0" + str(int(matrices))
    bits += _unsigned(0) + _unsigned(order)
    if order == 0:
        bits += _unsigned(2)
    elif order == 1:
        bits += "0" + _unsigned(3) * 2 + _unsigned(2) + _unsigned(5) * 2
    bits += _unsigned(16) + "0" + _unsigned(width // 16 - 1) + _unsigned(height // 16 - 1) + "1"
    bits += "100" + "1"  # inference, no cropping, no more words; the end
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8)


def key_frame(codec: str, width: int, height: int) -> bytes:
    """As a decoder gets it; there is no picture in it."""
    if codec == "H264":
        return b"\0\0\0\1\x67" + sps(width, height).replace(b"\0\0\0", b"\0\0\3\0") + b"\0\0\0\1\x68\xce\x38\x80"
    return b"\x10\0\0\x9d\1\x2a" + width.to_bytes(2, "little") + height.to_bytes(2, "little") + b"\0" * 8
