"""The picture as it crosses the project: one flat buffer of bytes, its size and its pixel format.

A `Frame` never copies; `convert` gives the same picture in the other format. Values are 8 bit.
I420 is BT.601 limited range, as WebRTC video is; RGB24 is full range sRGB.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


class PixelFormat(StrEnum):
    I420 = "i420"
    RGB24 = "rgb24"


def frame_bytes(width: int, height: int, pixel_format: PixelFormat) -> int:
    """Size in bytes of a picture; the chroma planes of an odd-sized I420 picture are rounded up."""
    if pixel_format is PixelFormat.RGB24:
        return width * height * 3
    return width * height + 2 * ((width + 1) // 2) * ((height + 1) // 2)


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single answer to ==
class Frame:
    """`data` is one-dimensional, contiguous, `frame_bytes(...)` long. Treat it as read-only: it may be shared."""

    data: Pixels
    width: int
    height: int
    format: PixelFormat

    def __post_init__(self) -> None:
        expected = frame_bytes(self.width, self.height, self.format)
        if self.data.shape != (expected,):
            raise ValueError(f"{self.width}x{self.height} {self.format} needs {expected} bytes, got {self.data.shape}")

    @classmethod
    def from_rgb(cls, rgb: Pixels) -> Frame:
        """A frame over an (H, W, 3) uint8 array."""
        height, width, _ = rgb.shape
        return cls(np.ascontiguousarray(rgb).reshape(-1), width, height, PixelFormat.RGB24)

    @property
    def planes(self) -> tuple[Pixels, Pixels, Pixels]:
        """Y, U and V of an I420 frame, as (rows, columns) views."""
        if self.format is not PixelFormat.I420:
            raise ValueError("only an I420 frame has planes")
        rows, columns = (self.height + 1) // 2, (self.width + 1) // 2
        luma, chroma = self.width * self.height, rows * columns
        y, u, v = self.data[:luma], self.data[luma : luma + chroma], self.data[luma + chroma :]
        return y.reshape(self.height, self.width), u.reshape(rows, columns), v.reshape(rows, columns)

    def rgb(self) -> Pixels:
        """The picture as (H, W, 3) uint8 RGB; a view of `data` if it is RGB already."""
        if self.format is PixelFormat.RGB24:
            return self.data.reshape(self.height, self.width, 3)
        if self.width % 2 == 0 and self.height % 2 == 0:
            packed = self.data.reshape(self.height * 3 // 2, self.width)
            return np.asarray(cv2.cvtColor(packed, cv2.COLOR_YUV2RGB_I420), np.uint8)
        even = _i420_from_planes(*_pad_planes(*self.planes))
        return even.rgb()[: self.height, : self.width]

    def convert(self, pixel_format: PixelFormat) -> Frame:
        """The same picture in `pixel_format`; this frame itself if it has that format."""
        if pixel_format is self.format:
            return self
        if pixel_format is PixelFormat.RGB24:
            return Frame.from_rgb(self.rgb())
        rgb = self.rgb()
        odd_rows, odd_columns = self.height % 2, self.width % 2
        if odd_rows or odd_columns:
            rgb = np.pad(rgb, ((0, odd_rows), (0, odd_columns), (0, 0)), mode="edge")
        packed = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420), np.uint8).reshape(-1)
        even = Frame(packed, self.width + odd_columns, self.height + odd_rows, PixelFormat.I420)
        if not (odd_rows or odd_columns):
            return even
        y, u, v = even.planes
        return _i420_from_planes(y[: self.height, : self.width], u, v)


def _pad_planes(y: Pixels, u: Pixels, v: Pixels) -> tuple[Pixels, Pixels, Pixels]:
    rows, columns = u.shape
    return np.pad(y, ((0, 2 * rows - y.shape[0]), (0, 2 * columns - y.shape[1])), mode="edge"), u, v


def _i420_from_planes(y: Pixels, u: Pixels, v: Pixels) -> Frame:
    data = np.concatenate([y.reshape(-1), u.reshape(-1), v.reshape(-1)])
    return Frame(data, y.shape[1], y.shape[0], PixelFormat.I420)
