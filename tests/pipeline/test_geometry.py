"""Crop, letterbox and stretch: where the picture lands, for any shape."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.frame import Frame, PixelFormat
from pipeline.geometry import MIN_INNER, Box, Fit, Placement, fit, fit_frame, place, resize, same_shape

SIDES = st.integers(1, 300)
RESULTS = st.sampled_from((64, 128, 192, 256))
MODES = st.sampled_from(("crop", "letterbox", "stretch"))


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("crop", Placement(Box(80, 0, 480, 480), Box(0, 0, 512, 512))),
        ("letterbox", Placement(Box(0, 0, 640, 480), Box(0, 64, 512, 384))),
        ("stretch", Placement(Box(0, 0, 640, 480), Box(0, 0, 512, 512))),
    ],
)
def test_a_webcam_in_a_square(mode: Fit, expected: Placement) -> None:
    assert place((640, 480), (512, 512), mode) == expected


@given(SIDES, SIDES, RESULTS, RESULTS, MODES)
@settings(max_examples=150, deadline=None)
def test_fits_any_shape_into_any_other(width: int, height: int, to_width: int, to_height: int, mode: Fit) -> None:
    placement = place((width, height), (to_width, to_height), mode)
    source, target = placement.source, placement.target
    assert 0 <= source.left <= source.left + source.width <= width
    assert 0 <= source.top <= source.top + source.height <= height
    assert 0 <= target.left <= target.left + target.width <= to_width
    assert 0 <= target.top <= target.top + target.height <= to_height
    assert min(target.width, target.height) >= MIN_INNER
    picture = np.full((height, width, 3), 200, np.uint8)
    result = fit(picture, to_width, to_height, mode)
    assert result.shape == (to_height, to_width, 3)
    assert result.dtype == np.uint8
    assert not np.shares_memory(result, picture)
    assert (target.cut(result) == 200).all()
    assert result.sum(dtype=np.int64) == 200 * 3 * target.width * target.height, "black outside of the target"


def test_crop_keeps_the_shape_and_the_middle() -> None:
    picture = np.zeros((480, 640, 3), np.uint8)
    picture[:, 310:330] = 255
    column = fit(picture, 256, 256, "crop")[128, :, 0].astype(int)
    centre = (column * np.arange(256)).sum() / column.sum()
    assert centre == pytest.approx(127.5, abs=1)
    assert (column > 127).sum() == pytest.approx(20 * 256 / 480, abs=1)


@given(st.sampled_from(range(256, 1025, 64)), st.sampled_from(range(256, 1025, 64)), st.sampled_from((256, 320, 384)))
def test_the_network_sees_the_same_shape(width: int, height: int, side: int) -> None:
    to_width, to_height = same_shape(width, height, side, 16)
    assert to_width % 16 == to_height % 16 == 0
    assert to_width * to_height == pytest.approx(side * side, rel=0.1)
    assert to_width / to_height == pytest.approx(width / height, rel=0.1)


def test_same_shape_of_a_square_is_the_side_itself() -> None:
    assert same_shape(1024, 1024, 320, 16) == (320, 320)


@given(SIDES, SIDES, MODES, st.sampled_from(PixelFormat))
def test_a_frame_is_fitted_as_its_picture(width: int, height: int, mode: Fit, pixel_format: PixelFormat) -> None:
    y, x = np.mgrid[:height, :width]
    rgb = np.stack([x * 200 // width, y * 200 // height, (x + y) * 200 // (width + height)], 2).astype(np.uint8)
    frame = Frame.from_rgb(rgb).convert(pixel_format)
    placement = place((width, height), (128, 64), mode)
    fitted = fit_frame(frame, placement)
    assert not np.shares_memory(fitted, frame.data)
    inner = resize(placement.source.cut(frame.rgb()), placement.target.width, placement.target.height)
    assert fitted.shape == inner.shape
    # Chroma next to an odd edge belongs to two pixels, of which a picture of few pixels has one.
    assert np.abs(fitted.astype(int) - inner).mean() < (4 if min(width, height) > 16 else 25)
