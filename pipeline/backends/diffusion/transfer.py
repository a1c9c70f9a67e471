"""Frames to the device and painted pictures back: by OpenCV on a CPU, by pinned memory and the device's own sums else.

Neither waits for the device on the way there; what `download` answers waits on the way back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import torch
from torch import Tensor

from pipeline.backends.diffusion import colour
from pipeline.backends.diffusion.device import Device, Mark
from pipeline.frame import Frame, PixelFormat, Pixels
from pipeline.geometry import Box, Placement, fit_frame

SLOTS = 2  # batches under way: one is computed while the next is on its way there, or the last on its way back


@dataclass(frozen=True, eq=False)
class Fit:
    """`frame` as a picture of `size` (width, height)."""

    frame: Frame
    placement: Placement
    size: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Shown:
    """A picture (1, 3, height, width) to answer with, black outside `target`; `finite` is one truth value."""

    picture: Tensor
    target: Box
    format: PixelFormat
    finite: Tensor


Answers = Callable[[], list[Frame | None]]


class Transfer(Protocol):
    def upload(self, fits: Sequence[Fit]) -> list[Tensor]:
        """A picture (1, 3, height, width), -1 to 1, of the device's own type for each, in order."""

    def download(self, shown: Sequence[Shown]) -> Answers:
        """A frame for each, in order, or None where it was not finite; waited for when it is called."""


def make_transfer(device: Device) -> Transfer:
    return StagedTransfer(device) if device.staged else HostTransfer()


class HostTransfer:
    """On a CPU, where nothing has to cross. Bytes stay bytes as long as they can: they are a quarter of floats."""

    def upload(self, fits: Sequence[Fit]) -> list[Tensor]:
        return [_from_rgb(fit) for fit in fits]

    def download(self, shown: Sequence[Shown]) -> Answers:
        frames = [_to_frame(one) if one.finite else None for one in shown]
        return lambda: frames


def _from_rgb(fit: Fit) -> Tensor:
    """Plane by plane, as it is faster by far than torch's sums over mixed types."""
    rgb, target = fit_frame(fit.frame, fit.placement), fit.placement.target
    width, height = fit.size
    whole = rgb.shape[:2] == (height, width)
    picture = (
        np.empty((3, height, width), np.float32) if whole else np.full((3, height, width), colour.BLACK, np.float32)
    )
    for levels, plane in zip(cv2.split(rgb), picture, strict=True):
        inner = plane[target.top : target.top + target.height, target.left : target.left + target.width]
        cv2.addWeighted(levels, 2 / 255, levels, 0, -1, dst=inner, dtype=cv2.CV_32F)
    return torch.from_numpy(picture)[None]


def _to_frame(one: Shown) -> Frame:
    planes = colour.with_bars(one.picture, one.target)[0].numpy()
    levels = [cv2.addWeighted(plane, 255 / 2, plane, 0, 255 / 2, dtype=cv2.CV_8U) for plane in planes]
    return Frame.from_rgb(np.asarray(cv2.merge(levels), np.uint8)).convert(one.format)


class _Slot:
    """Memory of one batch on its way, on both sides; it grows with the largest batch there was."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._host = device.pinned(0)
        self._mark: Mark | None = None

    def host(self, size: int) -> Tensor:
        """`size` bytes that the device has no more business with."""
        if self._mark:
            self._mark.synchronize()
        if len(self._host) < size:
            self._host = self._device.pinned(size)
        return self._host[:size]

    def busy_until(self, mark: Mark) -> None:
        self._mark = mark


class StagedTransfer:
    def __init__(self, device: Device) -> None:
        self._device = device
        self._there = [_Slot(device) for _ in range(SLOTS)]
        self._back = [_Slot(device) for _ in range(SLOTS)]
        self._turn = 0

    def upload(self, fits: Sequence[Fit]) -> list[Tensor]:
        """All frames cross in one copy. To be called in the compute lane, which waits for the pictures."""
        if not fits:
            return []
        self._turn = (self._turn + 1) % SLOTS
        slot, device = self._there[self._turn], self._device
        frames = list({id(fit.frame): fit.frame for fit in fits}.values())
        lengths = [len(frame.data) for frame in frames]
        host = slot.host(sum(lengths))
        np.concatenate([frame.data for frame in frames], out=host.numpy())
        with device.lane("upload"):
            data = host.to(device.torch_device, non_blocking=True, copy=True)
            slot.busy_until(device.mark())
            parts = {id(frame): part for frame, part in zip(frames, data.split(lengths), strict=True)}
            pictures = [_on_device(parts[id(fit.frame)], fit).to(device.dtype) for fit in fits]
            done = device.mark()
        device.after(done)
        for picture in pictures:
            device.adopt(picture)
        return pictures

    def download(self, shown: Sequence[Shown]) -> Answers:
        """All pictures cross in one copy. To be called in the compute lane, where they were painted."""
        if not shown:
            return list
        groups: dict[tuple[PixelFormat, torch.Size], list[int]] = defaultdict(list)
        for index, one in enumerate(shown):
            groups[one.format, one.picture.shape].append(index)
        rows = [_rows([shown[index] for index in indices], key[0]) for key, indices in groups.items()]
        data = torch.cat([group.flatten() for group in rows])
        slot, device = self._back[self._turn], self._device
        host, computed = slot.host(len(data)), device.mark()
        with device.lane("download"):
            device.after(computed)
            host.copy_(data, non_blocking=True)
            device.adopt(data)
            arrived = device.mark()
        slot.busy_until(arrived)

        def answers() -> list[Frame | None]:
            arrived.synchronize()
            frames: dict[int, Frame | None] = {}
            parts = host.numpy().copy()
            for indices, group in zip(
                groups.values(), np.split(parts, np.cumsum([one.numel() for one in rows])[:-1]), strict=True
            ):
                for index, row in zip(indices, group.reshape(len(indices), -1), strict=True):
                    frames[index] = _frame(row, shown[index])
            return [frames[index] for index in range(len(shown))]

        return answers


def _on_device(data: Tensor, fit: Fit) -> Tensor:
    frame = fit.frame
    return colour.picture(data, frame.width, frame.height, frame.format, fit.placement, fit.size)


def _rows(shown: Sequence[Shown], pixel_format: PixelFormat) -> Tensor:
    """The bytes of each picture and, as the last one, whether it is finite."""
    pictures = torch.cat([colour.with_bars(one.picture, one.target) for one in shown])
    finite = torch.stack([one.finite for one in shown]).to(torch.uint8)
    return torch.cat([colour.packed(pictures, pixel_format), finite[:, None]], 1)


def _frame(row: Pixels, one: Shown) -> Frame | None:
    height, width = one.picture.shape[-2:]
    return Frame(row[:-1], width, height, one.format) if row[-1] else None
