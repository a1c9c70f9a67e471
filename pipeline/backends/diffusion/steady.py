"""Steadiness: what a scene shows twice is averaged over time, before the model and after it; what is new stays.

A model answers a little noise in the camera with much of it in the picture, so the average before it does most. The
average after it takes away what still shimmers. What moves is followed: the mean moves along with the flow that Lucas
and Kanade's method finds between it and the new picture (An Iterative Image Registration Technique, 1981), from coarse
to fine. All functions are sums over the rows of many streams, on their device; the memory is each stream's.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, interpolate, max_pool2d, pad

from pipeline.backends.diffusion.colour import BLUE, GREEN, RED

LEVEL = 2 / 255  # one of 255 levels, where pictures are -1 to 1
MOTION = 6.0 * LEVEL  # a cell that differs by this or more is new, by half of it or less is noise
LEAST_GAIN = 0.1  # weight of a new picture at full steadiness: a still scene settles in about ten frames
CELL = 4  # pixels: pictures are compared by means over cells of this side, where a camera's noise is a quarter
PYRAMID = (2, 1)  # the sizes, in CELLs, at which flow is looked for, one after the other
WINDOW = 7  # cells that are taken to move alike
FARTHEST = 1.5  # that the flow may grow by at each size, in its cells: 18 pixels a frame in all
FLAT = 1.6 * LEVEL**2  # slopes squared: where there are no more than noise has, nothing is said to move
REACH = 5  # cells: what is new changes the painting this far around, half of it to each side


def least_gain(steadiness: float) -> float:
    """The weight of a new picture where nothing is new: 1 (no average) at steadiness 0."""
    return max(LEAST_GAIN, 1 - steadiness)


def look(new: Tensor, mean: Tensor, least: Tensor) -> Tensor:
    """The pictures `new`, (n, 3, height, width), averaged with the `mean` of those before, then for each pixel the
    weight of what is new, then its place in `mean`, -1 to 1 to the right and down: (n, 6, height, width) in float32.
    `least` is (n, 1, 1, 1), see `least_gain`."""
    size = new.shape[-2:]
    here, before = (avg_pool2d(_luma(pictures), CELL) for pictures in (new, mean))
    motion = flow(here, before) * _novelty(here, before)  # none where there is no more than noise
    places = _places(interpolate(motion * CELL, size, mode="bilinear"))
    followed = moved(mean, places)
    novelty = interpolate(_novelty(here, avg_pool2d(_luma(followed), CELL)), size, mode="bilinear")
    weight = torch.lerp(least.float().expand_as(novelty), torch.ones_like(novelty), novelty)
    return torch.cat([torch.lerp(followed, new.float(), weight.expand_as(new)), weight, places], 1)


def settled(new: Tensor, before: Tensor, seen: Tensor) -> Tensor:
    """The paintings `new`, averaged with those `before` as `look` has `seen` the camera pictures change."""
    weight, places = seen[:, 3:4], seen[:, 4:]
    return torch.lerp(moved(before, places), new.float(), weight.expand_as(new)).to(new.dtype)


def flow(here: Tensor, before: Tensor) -> Tensor:
    """Where each cell of `here` was in `before`, both (n, 1, rows, columns): (n, 2, rows, columns), to the right and
    down, in cells."""
    found = None
    for factor in PYRAMID:
        one, other = (avg_pool2d(cells, factor) for cells in (here, before))
        if found is None:
            found = torch.zeros_like(one).repeat(1, 2, 1, 1)
        else:
            found = 2 * interpolate(found, one.shape[-2:], mode="bilinear")
        found = found + _step(one, moved(other, _places(found)))
    assert found is not None
    return found


def moved(pictures: Tensor, places: Tensor) -> Tensor:
    """For each pixel what `pictures` have at its place, (n, 2, height, width), -1 to 1. In float32: half precision
    would miss a place by a quarter of a pixel."""
    grid = places.permute(0, 2, 3, 1)
    return grid_sample(pictures.float(), grid, padding_mode="border", align_corners=False)


def _places(motion: Tensor) -> Tensor:
    """Of pixels that have moved by `motion`, (n, 2, height, width) in pixels."""
    height, width = motion.shape[-2:]
    x, y = (torch.arange(side, device=motion.device).add(0.5).mul(2 / side).sub(1) for side in (width, height))
    return torch.cat([motion[:, :1] * (2 / width) + x, motion[:, 1:] * (2 / height) + y[:, None]], 1)


def _step(here: Tensor, before: Tensor) -> Tensor:
    """The motion that explains best, over a window, how the two differ: least squares over their slopes."""
    wide = pad(before, (1, 1, 1, 1), mode="replicate")
    x, y = (wide[..., 1:-1, 2:] - wide[..., 1:-1, :-2]) / 2, (wide[..., 2:, 1:-1] - wide[..., :-2, 1:-1]) / 2
    change = here - before
    products = torch.cat([x * x, x * y, y * y, x * change, y * change], 1)
    xx, xy, yy, xt, yt = _window_mean(products).split(1, 1)
    xx, yy = xx + FLAT, yy + FLAT
    motion: Tensor = torch.cat([yy * xt - xy * yt, xx * yt - xy * xt], 1) / (xx * yy - xy * xy)
    return motion.clamp(-FARTHEST, FARTHEST)


def _window_mean(cells: Tensor) -> Tensor:
    """Down, then across: fewer sums than over a square."""
    down = avg_pool2d(cells, (WINDOW, 1), 1, (WINDOW // 2, 0), count_include_pad=False)
    return avg_pool2d(down, (1, WINDOW), 1, (0, WINDOW // 2), count_include_pad=False)


def _novelty(here: Tensor, before: Tensor) -> Tensor:
    """For each cell 0 (the same, but for noise) to 1 (something else)."""
    differs = (here - before).abs().mul(2 / MOTION).sub(1).clamp(0, 1)
    return max_pool2d(differs, REACH, stride=1, padding=REACH // 2)


def _luma(pictures: Tensor) -> Tensor:
    """In float32: squares of small differences are too small for half precision."""
    red, green, blue = pictures.float().split(1, 1)
    luma: Tensor = RED * red + GREEN * green + BLUE * blue
    return luma
