"""Pictures between a frame's bytes and the model's tensors, with all sums done on the model's device.

Bytes cross the bus as they are, a quarter of what floats would take. Tensors are (1, 3, height, width), -1 to 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

from pipeline.frame import Frame, PixelFormat
from pipeline.geometry import Box, Placement

# BT.601, limited range: Y is 16 to 235, U and V are 16 to 240.
LUMA = (0.299, 0.587, 0.114)
LUMA_SCALE, CHROMA_SCALE = 219 / 255, 224 / 255
BLACK = -1.0


def upload(frame: Frame, device: torch.device) -> Tensor:
    """The whole picture of `frame` as float32. Raises ValueError if it is not as long as it says."""
    checked = Frame(frame.data, frame.width, frame.height, frame.format)
    # Copied, for the frame may be shared memory that is written again, and torch wants what it may write to.
    data = torch.from_numpy(checked.data.copy()).to(device, non_blocking=True)
    if frame.format is PixelFormat.RGB24:
        rgb = data.view(1, frame.height, frame.width, 3).permute(0, 3, 1, 2).float()
    else:
        rgb = _rgb(data, frame.width, frame.height)
    return rgb.mul_(2 / 255).sub_(1)


def place(picture: Tensor, placement: Placement, width: int, height: int) -> Tensor:
    """`picture` cut and scaled as `placement` says, with black around it, (1, 3, `height`, `width`)."""
    source, target = placement.source, placement.target
    part = picture[..., source.top : source.top + source.height, source.left : source.left + source.width]
    if part.shape[-2:] != (target.height, target.width):
        part = interpolate(part, (target.height, target.width), mode="bilinear", antialias=True)
    right, bottom = width - target.left - target.width, height - target.top - target.height
    return pad(part, (target.left, right, target.top, bottom), value=BLACK)


def with_bars(picture: Tensor, target: Box) -> Tensor:
    """`picture` with black outside `target`, whatever a model has painted there."""
    height, width = picture.shape[-2:]
    if (target.width, target.height) == (width, height):
        return picture
    inner = picture[..., target.top : target.top + target.height, target.left : target.left + target.width]
    right, bottom = width - target.left - target.width, height - target.top - target.height
    return pad(inner, (target.left, right, target.top, bottom), value=BLACK)


def download(pictures: Sequence[tuple[Tensor, PixelFormat]]) -> list[Frame]:
    """A frame for each picture of even sides, in the format asked for; one transfer for all of them."""
    if not pictures:
        return []
    packed = [_packed(picture, pixel_format) for picture, pixel_format in pictures]
    data = torch.cat(packed).cpu().numpy()
    parts = np.split(data, np.cumsum([len(one) for one in packed])[:-1])
    return [
        Frame(part, picture.shape[-1], picture.shape[-2], pixel_format)
        for part, (picture, pixel_format) in zip(parts, pictures, strict=True)
    ]


def _packed(picture: Tensor, pixel_format: PixelFormat) -> Tensor:
    rgb = picture.float().clamp(-1, 1).add(1).mul(255 / 2)
    if pixel_format is PixelFormat.RGB24:
        return _bytes(rgb[0].permute(1, 2, 0))
    luma = sum(weight * rgb[:, channel] for channel, weight in enumerate(LUMA))
    assert isinstance(luma, Tensor)
    red, blue = avg_pool2d(rgb[:, 0] - luma, 2), avg_pool2d(rgb[:, 2] - luma, 2)
    u = blue * (0.5 * CHROMA_SCALE / (1 - LUMA[2])) + 128
    v = red * (0.5 * CHROMA_SCALE / (1 - LUMA[0])) + 128
    return torch.cat([_bytes(luma * LUMA_SCALE + 16), _bytes(u), _bytes(v)])


def _bytes(values: Tensor) -> Tensor:
    return values.round().to(torch.uint8).flatten()


def _rgb(data: Tensor, width: int, height: int) -> Tensor:
    """I420 bytes to (1, 3, height, width), 0 to 255; each chroma sample serves its four pixels."""
    rows, columns = (height + 1) // 2, (width + 1) // 2
    y, u, v = data.split([width * height, rows * columns, rows * columns])
    luma = (y.view(height, width).float() - 16) / LUMA_SCALE
    chroma = torch.stack([u, v]).view(2, rows, columns).float() - 128
    u, v = (chroma / CHROMA_SCALE).repeat_interleave(2, 1).repeat_interleave(2, 2)[:, :height, :width]
    red, blue = luma + 2 * (1 - LUMA[0]) * v, luma + 2 * (1 - LUMA[2]) * u
    green = (luma - LUMA[0] * red - LUMA[2] * blue) / LUMA[1]
    return torch.stack([red, green, blue])[None].clamp_(0, 255)
