"""How a picture of one shape is brought to another: sums of boxes, and one function that carries them out.

Nothing here knows of pipelines. `place` decides, `fit` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Literal

import cv2
import numpy as np

from pipeline.frame import Frame, PixelFormat, Pixels

Fit = Literal["crop", "letterbox", "stretch"]
MIN_INNER = 16  # pixels: a letterboxed picture is not made narrower than this, whatever its shape


@dataclass(frozen=True)
class Box:
    """A rectangle in whole pixels."""

    left: int
    top: int
    width: int
    height: int

    def cut(self, picture: Pixels) -> Pixels:
        """A view of the part of an (H, W, ...) array that lies in this box."""
        return picture[self.top : self.top + self.height, self.left : self.left + self.width]

    def halved(self) -> Box:
        """The same part in the chroma planes of I420, odd sides rounded to the outside."""
        left, top = self.left // 2, self.top // 2
        return Box(left, top, (self.left + self.width + 1) // 2 - left, (self.top + self.height + 1) // 2 - top)


@dataclass(frozen=True)
class Placement:
    """`source` of the picture given is scaled to `target` in the result; what is outside `target` is black."""

    source: Box
    target: Box


def place(source: tuple[int, int], result: tuple[int, int], mode: Fit) -> Placement:
    """Where a picture of size `source` lands in a result of size `result`; both (width, height) in pixels.

    crop fills the result and cuts what is over, letterbox shows all with black bars, stretch ignores the shape.
    """
    (source_width, source_height), (width, height) = source, result
    whole, all_of_it = Box(0, 0, source_width, source_height), Box(0, 0, width, height)
    if mode == "stretch":
        return Placement(whole, all_of_it)
    if mode == "crop":
        cut_width = min(source_width, max(1, round(source_height * width / height)))
        cut_height = min(source_height, max(1, round(source_width * height / width)))
        return Placement(_centred(cut_width, cut_height, source_width, source_height), all_of_it)
    inner_width = min(width, max(MIN_INNER, _even(height * source_width / source_height)))
    inner_height = min(height, max(MIN_INNER, _even(width * source_height / source_width)))
    return Placement(whole, _centred(inner_width, inner_height, width, height))


def fit(rgb: Pixels, width: int, height: int, mode: Fit) -> Pixels:
    """(H, W, 3) uint8 to (height, width, 3) in memory of its own."""
    placement = place((rgb.shape[1], rgb.shape[0]), (width, height), mode)
    inner = resize(placement.source.cut(rgb), placement.target.width, placement.target.height)
    return frame_in_black(inner, placement.target, width, height)


def fit_frame(frame: Frame, placement: Placement) -> Pixels:
    """The source of `placement` in `frame`, scaled to its target's size, which is even: (height, width, 3) uint8 RGB
    in memory of its own.

    The planes of I420 are cut and scaled before they become colours, which costs a third of the other way round.
    """
    source, width, height = placement.source, placement.target.width, placement.target.height
    if frame.format is PixelFormat.RGB24:
        return resize(source.cut(frame.rgb()), width, height)
    if (source.width, source.height) == (frame.width, frame.height) == (width, height):
        return frame.rgb()
    y, u, v = frame.planes
    luma, chroma = source.cut(y), (source.halved().cut(plane) for plane in (u, v))
    planes = [resize(luma, width, height), *(resize(plane, width // 2, height // 2) for plane in chroma)]
    return Frame(np.concatenate([plane.ravel() for plane in planes]), width, height, PixelFormat.I420).rgb()


def frame_in_black(inner: Pixels, target: Box, width: int, height: int) -> Pixels:
    """`inner` itself if it fills the result, else a new black picture with `inner` at `target`."""
    if inner.shape[:2] == (height, width):
        return inner
    result = np.zeros((height, width, 3), np.uint8)
    target.cut(result)[:] = inner
    return result


def resize(picture: Pixels, width: int, height: int) -> Pixels:
    """(H, W) or (H, W, 3), scaled without aliasing; always a copy."""
    if picture.shape[:2] == (height, width):
        return picture.copy()
    shrinks = width * height < picture.shape[0] * picture.shape[1]
    scaled = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return np.asarray(scaled, np.uint8)


def snap(size: float, multiple: int) -> int:
    """The multiple nearest to `size`, at least one."""
    return max(1, round(size / multiple)) * multiple


def same_shape(width: int, height: int, side: int, multiple: int) -> tuple[int, int]:
    """(width, height) with the shape of the one given and about the area of a square of `side` pixels."""
    scale = side / sqrt(width * height)
    return snap(width * scale, multiple), snap(height * scale, multiple)


def _centred(width: int, height: int, outer_width: int, outer_height: int) -> Box:
    # Even offsets keep the bars on whole chroma samples of an I420 picture.
    return Box((outer_width - width) // 4 * 2, (outer_height - height) // 4 * 2, width, height)


def _even(value: float) -> int:
    return round(value / 2) * 2
