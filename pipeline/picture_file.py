"""JPEG and PNG bytes to an upright RGB frame, and back. The bytes may be hostile.

Size and format are read from the header before anything is decoded, so a small file cannot unpack into a large
picture, and the libraries see only what `picture_parts.py` leaves of it. Alpha is laid over black, 16-bit channels keep
their upper 8 bits, an EXIF rotation is undone.
"""

from __future__ import annotations

import io
import warnings

import numpy as np
import simplejpeg
from PIL import Image, ImageOps

from pipeline.errors import BadFrame, FrameTooLarge
from pipeline.frame import Frame, PixelFormat
from pipeline.picture_parts import FileFormat, Parts, read
from pipeline.worker.memory import MAX_PIXELS, MAX_SIDE, fits

JPEG_QUALITY = 85
PNG_COMPRESSION = 1  # of 9: a live picture is not worth more of the CPU
ORIENTATION = 0x0112  # EXIF tag

Rgb = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


def decode(data: bytes) -> tuple[Frame, FileFormat]:
    """The picture as RGB24, and the format it was in. Raises BadFrame, FrameTooLarge."""
    parts = read(data)
    if not fits(parts.width, parts.height):
        size = f"{parts.width}x{parts.height}"
        raise FrameTooLarge(f"{size} is too large", f"at most {MAX_PIXELS} pixels, side {MAX_SIDE}")
    try:
        return Frame.from_rgb(_rgb(parts)), parts.file_format
    except Exception as error:  # decoders raise anything at all on broken files
        reason = f"The picture cannot be read ({type(error).__name__})."
        raise BadFrame(reason, "Send a whole JPEG or PNG file.") from error


def _rgb(parts: Parts) -> Rgb:
    # Pillow warns of sizes and odd chunks; ours are checked already.
    with warnings.catch_warnings(action="ignore"), _open(parts) as image:
        if parts.file_format == "jpeg" and image.mode in ("RGB", "L") and image.getexif().get(ORIENTATION, 1) == 1:
            rgb: Rgb = simplejpeg.decode_jpeg(parts.data, "RGB")
            return rgb
        return _upright_rgb(image)


def _open(parts: Parts) -> Image.Image:
    image = Image.open(io.BytesIO(parts.data), formats=(parts.file_format.upper(),))
    if image.size != (parts.width, parts.height):
        raise ValueError("the header is not what it seemed")
    return image


def _upright_rgb(image: Image.Image) -> Rgb:
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
