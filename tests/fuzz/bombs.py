"""Picture files that are small or legal and yet meant to cost: what decoding or refusing each takes.

`python -m tests.fuzz.bombs` prints a table; each file is decoded in a fresh process, whose peak of memory is its own.
"""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.errors import BadFrame
from pipeline.picture_file import decode
from pipeline.picture_parts import MAX_SCANS, SCAN

WIDTH, HEIGHT = 1920, 1088  # the largest that may cross
FILE_BYTES = 8 * 1024 * 1024  # as webrtc_server.limits.IMAGE_BYTES
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int = 8, colour: int = 2, extra: bytes = b"", after: bytes = b"") -> bytes:
    """Black; `extra` goes before the pixels, `after` behind them."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row = b"\0" * (1 + (width * depth * channels + 7) // 8)
    packer = zlib.compressobj(9)
    pixels = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    palette = chunk(b"PLTE", bytes(768)) if colour == 3 else b""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return SIGNATURE + head + palette + extra + chunk(b"IDAT", pixels) + after + chunk(b"IEND", b"")


def jpeg(**options: object) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(1).integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), np.uint8)
    Image.fromarray(noise).resize((WIDTH, HEIGHT)).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def scans(count: int) -> bytes:
    """A progressive picture with its last scan again and again, `count` in all."""
    whole = jpeg(progressive=True, quality=20, subsampling=0)
    body = whole[:-2]
    scan = body[body.rindex(SCAN) :][:14]
    return body + scan * (count - body.count(SCAN)) + whole[-2:]


def segment(kind: int, data: bytes) -> bytes:
    return bytes([0xFF, kind]) + struct.pack(">H", len(data) + 2) + data


def with_segments(segments: bytes) -> bytes:
    whole = jpeg()
    return whole[:2] + segments + whole[2:]


def exif(entries: int) -> bytes:
    """A directory of `entries` texts, each pointing at all that there is."""
    return segment(0xE1, b"Exif\0\0" + exif_data(entries))


def exif_data(entries: int) -> bytes:
    table = b"".join(struct.pack("<HHII", (0x8000 + n) % 2**16, 2, 60_000, 8) for n in range(entries))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", entries) + table


def text_bomb(kind: bytes, count: int, size: int = 1_000_000) -> bytes:
    packed = zlib.compress(bytes(size), 9)
    inside = {b"zTXt": b"k\0\0", b"iTXt": b"k\0\1\0\0\0", b"iCCP": b"k\0\0"}[kind] + packed
    return chunk(kind, inside) * count


def animated() -> bytes:
    frame = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, WIDTH, HEIGHT, 0, 0, 1, 1, 0, 0))
    return png(WIDTH, HEIGHT, extra=chunk(b"acTL", struct.pack(">II", 10_000, 0)) + frame, after=frame * 3000)


BOMBS: dict[str, Callable[[], bytes]] = {
    "png 20000x20000": lambda: png(20_000, 1)[:16] + struct.pack(">II", 20_000, 20_000) + png(20_000, 1)[24:],
    "png header says 1920x1088, one row": lambda: png(8, 8)[:16] + struct.pack(">II", WIDTH, HEIGHT) + png(8, 8)[24:],
    "png 16 bit rgba": lambda: png(WIDTH, HEIGHT, 16, 6),
    "png 16 bit rgba cut off": lambda: png(WIDTH, HEIGHT, 16, 6)[:-20],
    "png 16 bit rgba broken at its end": lambda: broken_at_its_end(16),
    "png 8 bit rgba broken at its end": lambda: broken_at_its_end(8),
    "png 1 bit": lambda: png(WIDTH, HEIGHT, 1, 0),
    "png palette": lambda: png(WIDTH, HEIGHT, 8, 3),
    "png 60 texts of 1 MB": lambda: png(8, 8, extra=text_bomb(b"zTXt", 60)),
    "png 70 texts of 1 MB": lambda: png(8, 8, extra=text_bomb(b"zTXt", 70)),
    "png 60 texts of 1 MB behind": lambda: png(8, 8, after=text_bomb(b"zTXt", 60)),
    "png 60 international texts": lambda: png(8, 8, extra=text_bomb(b"iTXt", 60)),
    "png 4000 texts": lambda: png(8, 8, extra=text_bomb(b"zTXt", 4000, 1_000)),
    "png text of 64 MB": lambda: png(8, 8, extra=text_bomb(b"zTXt", 1, 64_000_000)),
    "png colour profiles of 1 MB": lambda: png(8, 8, extra=text_bomb(b"iCCP", 500)),
    "png colour profile of 64 MB": lambda: png(8, 8, extra=text_bomb(b"iCCP", 1, 64_000_000)),
    "png 60000 exif entries": lambda: png(8, 8, extra=chunk(b"eXIf", exif_data(60_000))),
    "png animated": animated,
    "png unknown chunks": lambda: png(8, 8, extra=chunk(b"teSt", b"") * 600_000),
    "png 8 MB in one chunk": lambda: png(8, 8, extra=chunk(b"teSt", bytes(FILE_BYTES - 500))),
    "png pixels in 600000 chunks": lambda: png(8, 8, after=chunk(b"IDAT", b"") * 600_000),
    "png 16 MB of pixels behind": lambda: png(8, 8, after=chunk(b"IDAT", zlib.compress(bytes(10**8)))),
    "jpeg at the limit of scans": lambda: scans(MAX_SCANS),
    "jpeg above the limit of scans": lambda: scans(MAX_SCANS + 1),
    "jpeg cut off": lambda: jpeg(quality=95)[:-500],
    "jpeg cut off, turned": lambda: with_segments(turned())[:-500],
    "jpeg progressive, cut off": lambda: jpeg(progressive=True, quality=95)[:-500],
    "jpeg turned, 5000 exif entries": lambda: with_segments(exif(5000).replace(b"\x00\x80", b"\x12\x01", 1)),
    "jpeg cmyk, turned": lambda: cmyk(turned()),
    "jpeg header only": lambda: jpeg()[:700],
    "jpeg 5000 exif entries": lambda: with_segments(exif(5000)),
    "jpeg 120 exif segments": lambda: with_segments(exif(5000) * 120),
    "jpeg 2 million restart markers": lambda: with_segments(b"\xff\xd0" * 2_000_000),
    "jpeg padding": lambda: with_segments(b"\xff" * (FILE_BYTES - 600_000)),
    "jpeg 2 million empty comments": lambda: with_segments(segment(0xFE, b"") * 2_000_000),
    "jpeg 8 MB of colour profile": lambda: with_segments(
        b"".join(segment(0xE2, b"ICC_PROFILE\0" + bytes([n % 255 + 1, 255]) + bytes(60_000)) for n in range(120))
    ),
    "jpeg of endless stereo": lambda: with_segments(segment(0xE2, mpf())),
    "jpeg 20000x20000": lambda: large_jpeg(),
    "jpeg two sizes": lambda: with_segments(frame_header(8, 8)),
    "jpeg two sizes, large first": lambda: with_segments(frame_header(20_000, 20_000)),
    "noise": lambda: bytes(np.random.default_rng(2).integers(0, 256, FILE_BYTES, np.uint8)),
    "png signature and noise": lambda: SIGNATURE + bytes(np.random.default_rng(2).integers(0, 256, 10**6, np.uint8)),
    "jpeg start and noise": lambda: b"\xff\xd8\xff" + bytes(np.random.default_rng(2).integers(0, 256, 10**6, np.uint8)),
}


def broken_at_its_end(depth: int) -> bytes:
    whole = png(WIDTH, HEIGHT, depth, 6)
    at = whole.index(b"IDAT")
    size = int.from_bytes(whole[at - 4 : at])
    pixels = whole[at + 4 : at + 4 + size - 12]  # the checksum of zlib, and the last pixels
    return whole[: at - 4] + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def turned() -> bytes:
    return segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, 0x0112, 3, 1, 6, 0))


def cmyk(segments: bytes) -> bytes:
    buffer = io.BytesIO()
    Image.new("CMYK", (WIDTH, HEIGHT)).save(buffer, "JPEG")
    return buffer.getvalue()[:2] + segments + buffer.getvalue()[2:]


def mpf() -> bytes:
    """A multi picture index that speaks of four milliards of pictures."""
    entries = struct.pack("<HHHII", 3, 0xB000, 7, 4, 0x30303130) + struct.pack("<HHII", 0xB001, 4, 1, 2**32 - 1)
    return b"MPF\0II*\0\x08\0\0\0" + entries + struct.pack("<HHII", 0xB002, 7, 65_000, 50) + bytes(1000)


def frame_header(width: int, height: int) -> bytes:
    parts = b"".join(bytes([number, 0x11, 0]) for number in (1, 2, 3))
    return segment(0xC0, struct.pack(">BHHB", 8, height, width, 3) + parts)


def large_jpeg() -> bytes:
    whole = jpeg()
    at = whole.index(b"\xff\xc0") + 5
    return whole[:at] + struct.pack(">HH", 20_000, 20_000) + whole[at + 4 :]


def small_jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "JPEG")
    return buffer.getvalue()


def cost(data: bytes) -> tuple[str, float, float]:
    """What came of it, seconds of CPU, and megabytes that it took at its peak. Linux only."""
    decode(png(8, 8))
    decode(small_jpeg())  # the libraries are loaded, and their buffers made
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, begun = _memory("VmRSS"), time.thread_time()
    try:
        frame, kind = decode(data)
        outcome = f"{kind} {frame.width}x{frame.height}"
    except BadFrame as error:
        outcome = error.code
    return outcome, time.thread_time() - begun, (_memory("VmHWM") - before) / 1024


def _memory(name: str) -> int:
    """Kilobytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def costs(name: str) -> tuple[str, float, float]:
    """`cost` of the bomb of that name, in a process of its own."""
    command = [sys.executable, "-m", "tests.fuzz.bombs", "-"]
    done = subprocess.run(command, input=BOMBS[name](), check=True, stdout=subprocess.PIPE, timeout=60)
    outcome, seconds, megabytes = json.loads(done.stdout)
    return outcome, seconds, megabytes


def main() -> None:
    if len(sys.argv) > 1:
        sys.stdout.write(json.dumps(cost(sys.stdin.buffer.read())))
        return
    for name, make in BOMBS.items():
        outcome, seconds, megabytes = costs(name)
        size = len(make()) / 1024
        sys.stdout.write(f"{name:40s}{size:9.1f} kB{seconds * 1000:9.1f} ms{megabytes:8.1f} MB  {outcome}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
