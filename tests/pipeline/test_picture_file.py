"""Picture files that are legal and yet meant to hurt."""

from __future__ import annotations

import io
import struct
import time
import zlib

import pytest
from PIL import Image

from pipeline.errors import BadFrame
from pipeline.picture_file import decode


def progressive() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (1920, 1088)).save(buffer, "JPEG", progressive=True)
    return buffer.getvalue()


def test_usual_progressive_picture() -> None:
    frame, file_format = decode(progressive())
    assert (frame.width, frame.height, file_format) == (1920, 1088, "jpeg")


def test_progressive_picture_of_endless_scans_is_refused_at_once() -> None:
    body, end = progressive()[:-2], progressive()[-2:]
    scan = body[body.rindex(b"\xff\xda") :]
    begun = time.process_time()
    with pytest.raises(BadFrame, match="too many scans"):
        decode(body + scan * 5000 + end)
    assert time.process_time() - begun < 0.1


def test_png_of_endless_chunks_is_refused_at_once() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    whole = buffer.getvalue()
    chunk = struct.pack(">I", 0) + b"teSt" + struct.pack(">I", zlib.crc32(b"teSt"))
    before_end = len(whole) - 12
    assert decode(whole[:before_end] + 4000 * chunk + whole[before_end:])[1] == "png"
    with pytest.raises(BadFrame, match="too many chunks"):
        decode(whole[:before_end] + 500_000 * chunk + whole[before_end:])


def test_stereo_pair_counts_as_the_jpeg_that_it_begins_with() -> None:
    buffer = io.BytesIO()
    image = Image.new("RGB", (64, 48), (200, 10, 10))
    image.save(buffer, "MPO", save_all=True, append_images=[image])
    frame, file_format = decode(buffer.getvalue())
    assert (frame.width, frame.height, file_format) == (64, 48, "jpeg")
