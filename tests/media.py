"""The film that stands in for a camera: a photograph of a person, slowly panned, as Motion JPEG.

Chromium plays it in a loop as its fake camera (`--use-file-for-fake-video-capture`), at its own 30 frames a second.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import simplejpeg
import skimage.data
import skimage.transform

WIDTH, HEIGHT = 640, 480
FRAMES = 90  # three seconds
ZOOM = 1.5  # of the photograph's 512 pixels: leaves room to move the 640 x 480 window about
QUALITY = 90

Photograph = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


def camera_film(folder: Path, still: bool = False) -> Path:
    """The film in `folder`, made at the first call; `still` shows its first picture all the time."""
    path = folder / ("still.mjpeg" if still else "camera.mjpeg")
    if not path.exists():
        picture = photograph(ZOOM)
        pictures = [_frame(picture, index / FRAMES) for index in range(1 if still else FRAMES)]
        path.write_bytes(b"".join(pictures) * (FRAMES // len(pictures)))
    return path


def photograph(zoom: float) -> Photograph:
    """The astronaut Eileen Collins, by NASA (public domain); it lies in scikit-image's wheel, 512 pixels square."""
    side = round(512 * zoom)
    scaled = skimage.transform.resize(skimage.data.astronaut(), (side, side), anti_aliasing=True)
    pixels: Photograph = (scaled * 255).round().astype(np.uint8)
    return pixels


def _frame(picture: Photograph, phase: float) -> bytes:
    """One picture of a pan that ends where it began."""
    turn = 2 * math.pi * phase
    top = round((picture.shape[0] - HEIGHT) * (0.12 + 0.04 * math.sin(turn)))
    left = round((picture.shape[1] - WIDTH) * (0.3 + 0.08 * math.cos(turn)))
    window = np.ascontiguousarray(picture[top : top + HEIGHT, left : left + WIDTH])
    jpeg: bytes = simplejpeg.encode_jpeg(window, quality=QUALITY, colorsubsampling="420")
    return jpeg
