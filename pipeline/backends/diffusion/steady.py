"""Steadiness: what stands still is averaged over time, before the model and after it; what moves passes at once.

A model answers a little noise in the camera with much of it in the picture, so the average before it does most. The
average after it takes away what still shimmers where the camera shows no change. Memory is a stream's; sums are for
many streams at once, on their device.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d

from pipeline.backends.diffusion.colour import BLUE, GREEN, RED

MOTION = 6.0 * 2 / 255  # a cell that changes by this or more moves, by half of it or less is noise: 6 of 255 levels
LEAST_GAIN = 0.1  # weight of a new picture at full steadiness: a still scene settles in about ten frames
CELL = 4  # pixels: motion is looked for in means over cells of this side, where a camera's noise is a quarter
REACH = 5  # cells: what moves changes the painting this far around, half of it to each side


def least_gain(steadiness: float) -> float:
    """The weight of a new picture where nothing moves: 1 (no average) at steadiness 0."""
    return max(LEAST_GAIN, 1 - steadiness)


def gain(new: Tensor, mean: Tensor, least: Tensor) -> Tensor:
    """The weight of each pixel of `new` against `mean`, both (n, 3, height, width): (n, 1, height, width), from
    `least`, (n, 1, 1, 1), where nothing moves, to 1."""
    change = avg_pool2d(new - mean, CELL)
    luma = RED * change[:, :1] + GREEN * change[:, 1:2] + BLUE * change[:, 2:]
    moves = luma.abs_().mul_(2 / MOTION).sub_(1).clamp_(0, 1)
    around = max_pool2d(moves, REACH, stride=1, padding=REACH // 2)
    least = least.to(new.dtype)
    return torch.lerp(least, torch.ones_like(least), _enlarged(around, new))


def average(mean: Tensor, new: Tensor, weight: Tensor) -> Tensor:
    """Of the old and the new pictures, the new ones by `weight`; in new memory."""
    return torch.lerp(mean, new, weight.to(new.dtype).expand_as(new))


def _enlarged(cells: Tensor, pictures: Tensor) -> Tensor:
    height, width = pictures.shape[-2:]
    return interpolate(cells, (height, width), mode="bilinear")
