"""Pictures to tensors and back, against the project's own conversions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline import geometry
from pipeline.backends.diffusion import colour
from pipeline.frame import Frame, PixelFormat
from tests.pipeline.samples import astronaut

CPU = torch.device("cpu")
SIZES = [(256, 192), (255, 193), (16, 16), (17, 16)]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_rgb_there_and_back(width: int, height: int) -> None:
    frame = Frame.from_rgb(astronaut(width, height))
    tensor = colour.upload(frame, CPU)
    assert tensor.shape == (1, 3, height, width)
    assert tensor.dtype == torch.float32
    (back,) = colour.download([(tensor, PixelFormat.RGB24)])
    assert np.array_equal(back.data, frame.data)


def test_range() -> None:
    black, white = (colour.upload(Frame.from_rgb(np.full((16, 16, 3), value, np.uint8)), CPU) for value in (0, 255))
    assert (black == -1).all()
    assert torch.allclose(white, torch.ones(1))
    (clipped,) = colour.download(
        [(torch.tensor([-9.0, 0.0, 9.0]).view(1, 3, 1, 1).expand(1, 3, 2, 2), PixelFormat.RGB24)]
    )
    assert clipped.data[:3].tolist() == [0, 128, 255]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_i420_is_read_as_elsewhere(width: int, height: int) -> None:
    frame = Frame.from_rgb(astronaut(width, height)).convert(PixelFormat.I420)
    (read,) = colour.download([(colour.upload(frame, CPU), PixelFormat.RGB24)])
    assert np.abs(read.rgb().astype(int) - frame.rgb()).max() <= 2


def test_i420_is_written_as_elsewhere() -> None:
    smooth = np.asarray(geometry.resize(astronaut(32, 32), 256, 192))
    frame = Frame.from_rgb(smooth)
    (written,) = colour.download([(colour.upload(frame, CPU), PixelFormat.I420)])
    for ours, theirs in zip(written.planes, frame.convert(PixelFormat.I420).planes, strict=True):
        assert np.abs(ours.astype(int) - theirs).mean() < 1
    assert np.abs(written.rgb().astype(int) - smooth).mean() < 2


def test_i420_there_and_back() -> None:
    frame = Frame.from_rgb(astronaut()).convert(PixelFormat.I420)
    (back,) = colour.download([(colour.upload(frame, CPU), PixelFormat.I420)])
    # What is out of RGB's range is lost, here and there.
    assert (np.abs(back.data.astype(int) - frame.data) <= 1).mean() > 0.9
    assert np.abs(back.data.astype(int) - frame.data).mean() < 0.5


@pytest.mark.parametrize("mode", ["crop", "letterbox", "stretch"])
@pytest.mark.parametrize("size", [(640, 480), (200, 600), (64, 64)])
def test_fit_is_the_project_s(mode: geometry.Fit, size: tuple[int, int]) -> None:
    picture = geometry.resize(astronaut(64, 64), *size)  # smooth: how edges are scaled is a matter of taste
    placement = geometry.place(size, (128, 192), mode)
    fitted = colour.place(colour.upload(Frame.from_rgb(picture), CPU), placement, 128, 192)
    assert fitted.shape == (1, 3, 192, 128)
    (ours,) = colour.download([(fitted, PixelFormat.RGB24)])
    theirs = geometry.fit(picture, 128, 192, mode)
    assert np.abs(ours.rgb().astype(int) - theirs).mean() < 3
    bars = (theirs == 0).all(axis=(1, 2))
    assert not ours.rgb()[bars].any()
    assert torch.equal(colour.with_bars(fitted, placement.target), fitted)


def test_scaling_down_does_not_alias() -> None:
    lines = np.zeros((512, 512, 3), np.uint8)
    lines[:, ::3] = 255
    placement = geometry.place((512, 512), (128, 128), "stretch")
    small = colour.place(colour.upload(Frame.from_rgb(lines), CPU), placement, 128, 128)
    assert small[..., 8:-8].std() < 0.05


def test_many_in_one_transfer() -> None:
    frames = [Frame.from_rgb(astronaut(side, side)) for side in (64, 128, 32)]
    formats = [PixelFormat.RGB24, PixelFormat.I420, PixelFormat.RGB24]
    answers = colour.download([(colour.upload(one, CPU), wanted) for one, wanted in zip(frames, formats, strict=True)])
    assert [(one.width, one.height, one.format) for one in answers] == [
        (side, side, wanted) for side, wanted in zip((64, 128, 32), formats, strict=True)
    ]
    assert np.array_equal(answers[2].data, frames[2].data)
    assert colour.download([]) == []


def test_a_frame_that_is_too_short_is_refused() -> None:
    frame = Frame.from_rgb(astronaut())
    object.__setattr__(frame, "data", frame.data[:100])
    with pytest.raises(ValueError, match="needs 196608 bytes"):
        colour.upload(frame, CPU)
