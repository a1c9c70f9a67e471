"""Pictures between bytes and the model's tensors, as sums on the device that the bytes lie on.

Tensors are (n, 3, height, width), -1 to 1. Bytes are fitted before they become colours: what is cut off is never
computed, and the planes of I420 are scaled at their own sizes.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

from pipeline.frame import PixelFormat
from pipeline.geometry import Box, Placement

# BT.601, limited range: Y is 16 to 235, U and V are 16 to 240.
RED, GREEN, BLUE = 0.299, 0.587, 0.114
LUMA_SCALE, CHROMA_SCALE = 219 / 255, 224 / 255
BLACK = -1.0


@cache
def _to_rgb(device: torch.device) -> tuple[Tensor, Tensor]:
    """(3, 3) and (3, 1): from Y, U and V in levels to red, green and blue, -1 to 1."""
    v_red, u_blue = 2 * (1 - RED), 2 * (1 - BLUE)
    chroma = [[0, v_red], [-u_blue * BLUE / GREEN, -v_red * RED / GREEN], [u_blue, 0]]
    rows = [[1 / LUMA_SCALE, u / CHROMA_SCALE, v / CHROMA_SCALE] for u, v in chroma]
    matrix = torch.tensor(rows) * (2 / 255)
    return matrix.to(device), (-matrix @ torch.tensor([[16.0], [128], [128]]) - 1).to(device)


@cache
def _to_yuv(device: torch.device) -> tuple[Tensor, Tensor]:
    """The inverse of `_to_rgb`."""
    matrix, offset = (value.cpu().double() for value in _to_rgb(device))
    inverse = matrix.inverse()
    return inverse.float().to(device), (-inverse @ offset).float().to(device)


def picture(
    data: Tensor, width: int, height: int, pixel_format: PixelFormat, placement: Placement, size: tuple[int, int]
) -> Tensor:
    """The bytes of one frame, fitted into `size` (width, height) with black around: (1, 3, height, width) float32."""
    source, target = placement.source, placement.target
    if pixel_format is PixelFormat.RGB24:
        rgb = data.view(1, height, width, 3).permute(0, 3, 1, 2)
        inner = _scaled(_cut(rgb, source), target.width, target.height).mul(2 / 255).sub(1)
    else:
        rows, columns = (height + 1) // 2, (width + 1) // 2
        y, uv = data.split([width * height, 2 * rows * columns])
        luma = _scaled(_cut(y.view(1, 1, height, width), source), target.width, target.height)
        chroma = _scaled(_cut(uv.view(1, 2, rows, columns), source.halved()), target.width, target.height)
        matrix, offset = _to_rgb(data.device)
        planes = torch.cat([luma, chroma], 1).view(3, -1)
        inner = torch.addmm(offset, matrix, planes).clamp_(-1, 1).view(1, 3, target.height, target.width)
    return _surrounded(inner, target, size)


def with_bars(pictures: Tensor, target: Box) -> Tensor:
    """`pictures` with black outside `target`, whatever a model has painted there."""
    height, width = pictures.shape[-2:]
    return _surrounded(_cut(pictures, target), target, (width, height))


def packed(pictures: Tensor, pixel_format: PixelFormat) -> Tensor:
    """(n, 3, height, width) of even sides to the bytes of n frames, (n, length) uint8."""
    rgb = pictures.float().clamp(-1, 1)
    if pixel_format is PixelFormat.RGB24:
        return _levels(rgb.add(1).mul(255 / 2).permute(0, 2, 3, 1)).flatten(1)
    matrix, offset = _to_yuv(rgb.device)
    luma = (matrix[:1] @ rgb.flatten(2)) + offset[:1]
    chroma = (matrix[1:] @ avg_pool2d(rgb, 2).flatten(2)) + offset[1:]
    return torch.cat([_levels(luma).flatten(1), _levels(chroma).flatten(1)], 1)


def _cut(pictures: Tensor, box: Box) -> Tensor:
    return pictures[..., box.top : box.top + box.height, box.left : box.left + box.width]


def _scaled(pictures: Tensor, width: int, height: int) -> Tensor:
    """In float32. Smaller without aliasing; to twice the size, as chroma mostly is, by repetition as elsewhere."""
    if pictures.shape[-2:] == (height, width):
        return pictures.float()
    if (2 * pictures.shape[-2], 2 * pictures.shape[-1]) == (height, width):
        return interpolate(pictures.float(), (height, width), mode="nearest")
    return interpolate(pictures.float(), (height, width), mode="bilinear", antialias=True)


def _surrounded(inner: Tensor, target: Box, size: tuple[int, int]) -> Tensor:
    width, height = size
    if (target.width, target.height) == size:
        return inner
    right, bottom = width - target.left - target.width, height - target.top - target.height
    return pad(inner, (target.left, right, target.top, bottom), value=BLACK)


def _levels(values: Tensor) -> Tensor:
    return values.clamp(0, 255).round().to(torch.uint8)
