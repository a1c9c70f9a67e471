"""Pixel formats: sizes, views, and conversions that keep the picture, at even and odd sizes."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.frame import Frame, PixelFormat, frame_bytes

SIZES = [(64, 48), (65, 48), (64, 49), (65, 49), (1, 1), (2, 1)]


def smooth(width: int, height: int) -> Frame:
    y, x = np.mgrid[:height, :width]
    rgb = np.stack([40 + x % 160, 60 + y % 120, np.full_like(x, 90)], axis=2).astype(np.uint8)
    return Frame.from_rgb(rgb)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_there_and_back_keeps_the_picture(width: int, height: int) -> None:
    frame = smooth(width, height)
    i420 = frame.convert(PixelFormat.I420)
    assert i420.data.size == frame_bytes(width, height, PixelFormat.I420)
    assert [plane.shape for plane in i420.planes] == [
        (height, width),
        ((height + 1) // 2, (width + 1) // 2),
        ((height + 1) // 2, (width + 1) // 2),
    ]
    back = i420.convert(PixelFormat.RGB24)
    assert back.rgb().shape == (height, width, 3)
    assert np.abs(back.rgb().astype(int) - frame.rgb()).mean() < 3


def test_colours_are_bt601_limited_range() -> None:
    red = Frame.from_rgb(np.full((2, 2, 3), (255, 0, 0), np.uint8)).convert(PixelFormat.I420)
    assert [int(plane[0, 0]) for plane in red.planes] == pytest.approx([82, 90, 240], abs=1)


def test_same_format_is_the_same_frame_and_rgb_is_a_view() -> None:
    frame = smooth(8, 8)
    assert frame.convert(PixelFormat.RGB24) is frame
    assert np.shares_memory(frame.rgb(), frame.data)


def test_wrong_size_is_refused() -> None:
    with pytest.raises(ValueError, match="needs 192 bytes"):
        Frame(np.zeros(10, np.uint8), 8, 8, PixelFormat.RGB24)
    with pytest.raises(ValueError, match="only an I420 frame"):
        _ = smooth(8, 8).planes
