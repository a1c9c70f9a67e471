"""Frames to tensors and back, on a CPU and in the way of a GPU, against the project's own conversions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline import geometry
from pipeline.backends.diffusion import colour
from pipeline.backends.diffusion.device import Cpu
from pipeline.backends.diffusion.transfer import Fit, HostTransfer, Shown, StagedTransfer, Transfer
from pipeline.frame import Frame, PixelFormat
from pipeline.geometry import Box
from tests.pipeline.samples import astronaut

SIZES = [(256, 192), (640, 480), (641, 481), (200, 600), (130, 130)]
RESULT = (128, 192)
YES = torch.tensor(True)


@pytest.fixture(params=["host", "staged"])
def transfer(request: pytest.FixtureRequest) -> Transfer:
    return HostTransfer() if request.param == "host" else StagedTransfer(Cpu(rehearses=True))


def fit(frame: Frame, size: tuple[int, int], mode: geometry.Fit = "crop") -> Fit:
    return Fit(frame, geometry.place((frame.width, frame.height), size, mode), size)


def up(transfer: Transfer, frame: Frame, size: tuple[int, int] | None = None, mode: geometry.Fit = "crop") -> Tensor:
    (picture,) = transfer.upload([fit(frame, size or (frame.width, frame.height), mode)])
    return picture


def down(transfer: Transfer, pictures: Sequence[tuple[Tensor, PixelFormat]]) -> list[Frame | None]:
    return transfer.download(
        [Shown(one, Box(0, 0, one.shape[-1], one.shape[-2]), wanted, YES) for one, wanted in pictures]
    )()


def down_rgb(transfer: Transfer, picture: Tensor) -> np.ndarray:
    (frame,) = down(transfer, [(picture, PixelFormat.RGB24)])
    assert frame
    return frame.rgb().astype(int)


def smooth(width: int, height: int) -> Frame:
    """How edges are scaled is a matter of taste."""
    return Frame.from_rgb(geometry.resize(astronaut(24, 24), width, height))


def test_rgb_there_and_back(transfer: Transfer) -> None:
    frame = Frame.from_rgb(astronaut(256, 192))
    picture = up(transfer, frame)
    assert picture.shape == (1, 3, 192, 256)
    assert picture.dtype == torch.float32
    assert np.array_equal(down_rgb(transfer, picture), frame.rgb())


def test_range(transfer: Transfer) -> None:
    black, white = (up(transfer, Frame.from_rgb(np.full((16, 16, 3), value, np.uint8))) for value in (0, 255))
    assert (black == -1).all()
    assert torch.allclose(white, torch.ones(1))
    levels = down_rgb(transfer, torch.tensor([-9.0, 0.0, 9.0]).view(1, 3, 1, 1).expand(1, 3, 2, 2))
    assert levels[0, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize("mode", ["crop", "letterbox", "stretch"])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("pixel_format", PixelFormat)
def test_fit_is_the_project_s(
    transfer: Transfer, size: tuple[int, int], mode: geometry.Fit, pixel_format: PixelFormat
) -> None:
    frame = smooth(*size).convert(pixel_format)
    fitted = up(transfer, frame, RESULT, mode)
    assert fitted.shape == (1, 3, RESULT[1], RESULT[0])
    theirs = geometry.fit(frame.rgb(), *RESULT, mode)
    assert np.abs(down_rgb(transfer, fitted) - theirs).mean() < 3
    target = fit(frame, RESULT, mode).placement.target
    bars = np.ones(theirs.shape[:2], bool)
    target.cut(bars)[:] = False
    assert (fitted[0, :, bars] == -1).all()
    assert torch.equal(colour.with_bars(fitted, target), fitted)


def test_both_ways_give_the_same() -> None:
    host, staged = HostTransfer(), StagedTransfer(Cpu(rehearses=True))
    for pixel_format in PixelFormat:
        frame = smooth(640, 480).convert(pixel_format)
        one, other = (up(transfer, frame, RESULT) for transfer in (host, staged))
        levels = (one - other).abs() * (255 / 2)
        assert levels.max() < 8
        assert levels.mean() < 1
        (ours,), (theirs,) = (down(transfer, [(one, pixel_format)]) for transfer in (host, staged))
        assert ours
        assert theirs
        assert np.abs(ours.data.astype(int) - theirs.data).max() <= 2


def test_i420_is_read_as_elsewhere(transfer: Transfer) -> None:
    frame = Frame.from_rgb(astronaut(256, 192)).convert(PixelFormat.I420)
    assert np.abs(down_rgb(transfer, up(transfer, frame)) - frame.rgb()).max() <= 2


def test_i420_there_and_back(transfer: Transfer) -> None:
    frame = Frame.from_rgb(astronaut()).convert(PixelFormat.I420)
    (back,) = down(transfer, [(up(transfer, frame), PixelFormat.I420)])
    assert back
    # What is out of RGB's range is lost, here and there.
    assert (np.abs(back.data.astype(int) - frame.data) <= 2).mean() > 0.95
    assert np.abs(back.data.astype(int) - frame.data).mean() < 0.6


def test_scaling_down_does_not_alias(transfer: Transfer) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
    whole, small = (up(transfer, Frame.from_rgb(noise), size) for size in ((512, 512), (128, 128)))
    assert small.std() < 0.3 * whole.std()  # four pixels each way averaged; a pixel in four would keep it all


def test_many_in_one_transfer(transfer: Transfer) -> None:
    frames = [Frame.from_rgb(astronaut(side, side)) for side in (64, 128, 32, 64)]
    formats = [PixelFormat.RGB24, PixelFormat.I420, PixelFormat.RGB24, PixelFormat.RGB24]
    pictures = transfer.upload([fit(one, (one.width, one.height)) for one in frames])
    answers = [one for one in down(transfer, list(zip(pictures, formats, strict=True))) if one]
    assert [(one.width, one.height, one.format) for one in answers] == [
        (side, side, wanted) for side, wanted in zip((64, 128, 32, 64), formats, strict=True)
    ]
    for index in (0, 2, 3):
        assert np.array_equal(answers[index].data, frames[index].data)
    assert down(transfer, []) == []
    assert transfer.upload([]) == []


def test_two_batches_may_be_under_way(transfer: Transfer) -> None:
    waiting = []
    for side in (64, 128, 64, 32):
        frame = Frame.from_rgb(astronaut(side, side))
        whole = Box(0, 0, side, side)
        waiting.append((frame, transfer.download([Shown(up(transfer, frame), whole, PixelFormat.RGB24, YES)])))
        if len(waiting) == 2:
            expected, answers = waiting.pop(0)
            (answer,) = answers()
            assert answer
            assert np.array_equal(answer.data, expected.data)


def test_what_is_no_number_is_no_picture(transfer: Transfer) -> None:
    picture, whole = up(transfer, Frame.from_rgb(astronaut(64, 64))), Box(0, 0, 64, 64)
    shown = [Shown(picture, whole, PixelFormat.RGB24, torch.tensor(sound)) for sound in (True, False, True)]
    first, second, third = transfer.download(shown)()
    assert second is None
    assert first
    assert third
    assert np.array_equal(first.data, third.data)
