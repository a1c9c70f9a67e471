"""Decoded video to a picture for the worker and back, whatever its format, range, size and padding."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

from pipeline import geometry
from pipeline.settings import Settings
from pipeline.videoframe import VideoPicture, to_video, unpainted


def ramp(width: int, height: int) -> av.VideoFrame:
    grey = np.tile(np.linspace(0, 255, width).astype(np.uint8)[None, :, None], (height, 1, 3))
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(grey), format="rgb24")


@pytest.mark.parametrize("size", [(256, 64), (255, 63), (2, 2)])
@pytest.mark.parametrize("pixels", ["yuv420p", "yuvj420p", "yuv444p", "yuv420p10le", "gray"])
def test_every_pixel_format_gives_the_same_picture(pixels: str, size: tuple[int, int]) -> None:
    frame = VideoPicture(ramp(*size).reformat(format=pixels)).to_frame()
    assert np.abs(frame.rgb().astype(int) - ramp(*size).to_ndarray()).mean() < 1.5


def test_full_range_is_brought_to_limited_range() -> None:
    full = ramp(256, 64).reformat(format="yuv420p", dst_color_range=ColorRange.JPEG)
    assert VideoPicture(full).to_frame().planes[0].max() <= 235


@pytest.mark.parametrize("colour_range", [ColorRange.MPEG, ColorRange.JPEG])
def test_bt_709_is_brought_to_bt_601(colour_range: ColorRange) -> None:
    green = av.VideoFrame.from_ndarray(np.full((48, 64, 3), (0, 191, 0), np.uint8), format="rgb24")
    said = green.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=colour_range)
    said.colorspace, said.color_range = Colorspace.ITU709, colour_range
    assert np.abs(VideoPicture(said).to_frame().rgb().astype(int) - (0, 191, 0)).max() <= 4


def test_unpainted_has_the_size_of_the_painted() -> None:
    picture = VideoPicture(ramp(64, 48).reformat(format="yuv420p"))
    shown = unpainted(picture, Settings(pipeline="effects", width=512, height=256))
    assert (shown.width, shown.height) == (512, 256)
    assert unpainted(picture, Settings(pipeline="identity")).width == 64


def test_video_is_cut_for_a_codec_that_takes_no_odd_sides() -> None:
    frame = VideoPicture(ramp(65, 49)).to_frame()
    video = to_video(frame, 7, Fraction(1, 90_000), multiple=2)
    assert (video.width, video.height) == (64, 48)
    assert np.abs(VideoPicture(video).to_frame().rgb().astype(int) - frame.rgb()[:48, :64]).mean() < 1.5
    assert to_video(VideoPicture(ramp(1, 1)).to_frame(), 0, Fraction(1, 90_000), multiple=2).width == 2


@pytest.mark.parametrize("fit", ["crop", "letterbox", "stretch"])
@pytest.mark.parametrize("size", [(640, 480), (321, 241), (100, 1000), (2, 2)])
def test_unpainted_is_fitted_as_the_painted(
    fit: Literal["crop", "letterbox", "stretch"], size: tuple[int, int]
) -> None:
    picture = VideoPicture(ramp(*size).reformat(format="yuv420p"))
    shown = unpainted(picture, Settings(pipeline="effects", width=320, height=256, fit=fit))
    assert np.abs(shown.rgb().astype(int) - geometry.fit(picture.to_frame().rgb(), 320, 256, fit)).mean() < 4


def test_video_keeps_the_picture_and_has_the_stamp_given() -> None:
    frame = VideoPicture(ramp(65, 49)).to_frame()
    video = to_video(frame, 7, Fraction(1, 90_000))
    assert (video.pts, video.time_base) == (7, Fraction(1, 90_000))
    assert np.abs(VideoPicture(video).to_frame().rgb().astype(int) - frame.rgb()).mean() < 1.5
