"""What of a JPEG or PNG file makes the picture: its size, and the file without all that does not.

Libraries read everything a file holds, in Python or unpacked: a million empty comments cost them seconds, sixty small
texts 60 MB. So `picture_file.py` gives them only what is left here. Looks at each part once; decodes nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from pipeline.errors import BadFrame

FileFormat = Literal["jpeg", "png"]
MAX_PARTS = 4096  # chunks of a PNG, segments before the pixels of a JPEG; a PNG of a megabyte may have a thousand
MAX_EXIF = 64 * 1024  # bytes of the part that knows which side is up; no more fit into a JPEG
MAX_SCANS = 16  # of a progressive JPEG; ten are usual, and twelve bytes are enough for one that costs milliseconds

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_KEPT = (b"IHDR", b"PLTE", b"tRNS", b"IDAT")  # no texts, colour profiles or further frames of an animation
PNG_EXIF = b"eXIf"
PNG_END = b"IEND"

JPEG_SIGNATURE = b"\xff\xd8"
MARKER = re.compile(rb"\xff+([^\xff\x00])", re.DOTALL)  # with the padding that may stand before it
RESTARTS_AND_TEM = (0x01, *range(0xD0, 0xD8))  # markers without a length
FRAME_HEADERS = tuple(kind for kind in range(0xC0, 0xD0) if kind not in (0xC4, 0xC8, 0xCC))
TABLES = (0xC4, 0xCC, 0xDB, 0xDD)  # Huffman, arithmetic, quantisation, restart interval
JFIF, EXIF, ADOBE = 0xE0, 0xE1, 0xEE  # Adobe's says how colours are coded
START_OF_SCAN = 0xDA
SCAN = b"\xff\xda"  # stands in no compressed data


@dataclass(frozen=True)
class Parts:
    """`data` is a file of the same picture. A format or size that is claimed may still be a lie."""

    file_format: FileFormat
    width: int
    height: int
    data: bytes


def read(data: bytes) -> Parts:
    """Raises BadFrame for what is neither, or has no size, or has too many parts."""
    if data.startswith(PNG_SIGNATURE):
        return _png(data)
    if data.startswith(JPEG_SIGNATURE):
        return _jpeg(data)
    raise _bad("is no JPEG or PNG file")


def _png(data: bytes) -> Parts:
    """PNG specification, section 5.3: length, type, data, checksum."""
    kept = [PNG_SIGNATURE]
    exif = b""
    position = len(PNG_SIGNATURE)
    for _ in range(MAX_PARTS):
        end = position + 12 + int.from_bytes(data[position : position + 4])
        kind = data[position + 4 : position + 8]
        if kind in PNG_KEPT:
            kept.append(data[position:end])
        elif kind == PNG_EXIF and end - position <= MAX_EXIF:
            exif = data[position:end]
        if end > len(data):
            raise _bad("is cut short")
        if kind == PNG_END:
            break
        position = end
    else:
        raise _bad("has too many chunks")
    header = data[8:24]
    if header[4:8] != b"IHDR" or len(header) < 16:
        raise _bad("has no header")
    width, height = int.from_bytes(header[8:12]), int.from_bytes(header[12:])
    return Parts("png", width, height, b"".join([*kept, exif, bytes(4), PNG_END, b"\xae\x42\x60\x82"]))


def _jpeg(data: bytes) -> Parts:
    """ITU-T T.81, section B.1.1: markers, most of them with a length and data. All from the first scan on stays."""
    if data.count(SCAN) > MAX_SCANS:
        raise _bad("has too many scans")
    kept = [JPEG_SIGNATURE]
    size: tuple[int, int] | None = None
    once = {JFIF, EXIF, ADOBE}
    position = len(JPEG_SIGNATURE)
    for _ in range(MAX_PARTS):
        marker = MARKER.match(data, position)
        if not marker:
            raise _bad("is broken")
        kind, begin = marker[1][0], marker.end() - 2
        if kind in RESTARTS_AND_TEM:
            position = marker.end()
            continue
        if kind == START_OF_SCAN:
            if size is None:
                raise _bad("has no header")
            return Parts("jpeg", *size, b"".join([*kept, data[begin:]]))
        end = begin + 2 + int.from_bytes(data[begin + 2 : begin + 4])
        body = data[begin + 4 : end]
        if kind in FRAME_HEADERS:
            if size or len(body) < 5:
                raise _bad("has more than one header, or a broken one")
            size = int.from_bytes(body[3:5]), int.from_bytes(body[1:3])
        if kind in FRAME_HEADERS or kind in TABLES or (kind in once and (kind != EXIF or body.startswith(b"Exif\0\0"))):
            kept.append(data[begin:end])
            once.discard(kind)
        position = end
    raise _bad("has too many segments")


def _bad(what: str) -> BadFrame:
    return BadFrame(f"The picture {what}.", "Send a plain JPEG or PNG file.")
