"""JPEG and PNG bytes to an upright RGB frame, and back. The bytes may be hostile.

Size and format are read from the header before anything is decoded, so a small file cannot unpack into a large
picture. Alpha is laid over black, 16-bit channels keep their upper 8 bits, an EXIF rotation is undone.
"""

from __future__ import annotations

import io
import warnings
from typing import Literal

import numpy as np
import simplejpeg
from PIL import Image, ImageOps

from pipeline.errors import BadFrame, FrameTooLarge
from pipeline.frame import Frame, PixelFormat
from pipeline.worker.memory import MAX_PIXELS, MAX_SIDE, fits

FileFormat = Literal["jpeg", "png"]
JPEG_QUALITY = 85
PNG_COMPRESSION = 1  # of 9: a live picture is not worth more of the CPU
ORIENTATION = 0x0112  # EXIF tag
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
START_OF_SCAN = b"\xff\xda"  # JPEG marker; stands in no compressed data
MAX_CHUNKS = 4096  # of a PNG; the largest that is allowed has a thousand, and Pillow reads each in Python
MAX_SCANS = 100  # of a progressive JPEG; ten are usual, and 12 bytes are enough for one that costs a millisecond


def decode(data: bytes) -> tuple[Frame, FileFormat]:
    """The picture as RGB24, and the format it was in. Raises BadFrame, FrameTooLarge."""
    try:
        # Pillow warns of sizes and odd chunks; the limit below is stricter.
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
            if not fits(*image.size):
                width, height = image.size
                raise FrameTooLarge(f"{width}x{height} is too large", f"at most {MAX_PIXELS} pixels, side {MAX_SIDE}")
            file_format: FileFormat = "jpeg" if image.format in ("JPEG", "MPO") else "png"
            if file_format == "png" and _has_too_many_chunks(data):
                raise BadFrame("The picture has too many chunks.", "Send a plain JPEG or PNG file.")
            if file_format == "jpeg" and data.count(START_OF_SCAN) > MAX_SCANS:
                raise BadFrame("The picture has too many scans.", "Send a plain JPEG or PNG file.")
            if file_format == "jpeg" and image.mode in ("RGB", "L") and image.getexif().get(ORIENTATION, 1) == 1:
                return Frame.from_rgb(simplejpeg.decode_jpeg(data, "RGB")), file_format
            return Frame.from_rgb(_upright_rgb(image)), file_format
    except BadFrame:
        raise
    except Exception as error:  # decoders raise anything at all on broken files
        reason = f"The picture cannot be read ({type(error).__name__})."
        raise BadFrame(reason, "Send a whole JPEG or PNG file.") from error


def _has_too_many_chunks(png: bytes) -> bool:
    """Walks the chunks (PNG specification, section 5.3): length, type, data, checksum."""
    position = len(PNG_SIGNATURE)
    for _ in range(MAX_CHUNKS):
        if position + 8 > len(png):
            return False
        position += 12 + int.from_bytes(png[position : position + 4])
    return True


def _upright_rgb(image: Image.Image) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """(H, W, 3) uint8 of any mode that JPEG and PNG files have."""
    image = ImageOps.exif_transpose(image)
    if image.mode in ("I", "I;16", "I;16B"):  # 16-bit grey, which Pillow's convert() would clip instead of scale
        upper = (np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8)
        return np.repeat(upper[..., None], 3, axis=2)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        black = Image.new("RGBA", layer.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, layer)
    return np.asarray(image.convert("RGB"))


def encode(frame: Frame, file_format: FileFormat) -> bytes:
    """The picture as a JPEG (4:2:0) or PNG file."""
    rgb = np.ascontiguousarray(frame.convert(PixelFormat.RGB24).rgb())
    if file_format == "jpeg":
        data: bytes = simplejpeg.encode_jpeg(rgb, JPEG_QUALITY, "RGB", "420")
        return data
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "PNG", compress_level=PNG_COMPRESSION)
    return buffer.getvalue()
