"""A network as something to call with the rows of many sessions: joined, and recorded for each shape that is used.

To send the 900 kernels of a UNet one by one takes a fast GPU's driver longer than the GPU takes to compute them; a
recording is sent as one. It is made for few numbers of rows, into which others are filled up.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.backends.diffusion.device import Device, Recording

logger = logging.getLogger(__name__)

BUCKETS = (1, 2, 4, 8, 12, 16)  # numbers of rows that are recorded; a call of more keeps a GPU busy by itself
RECORD_AFTER = 2  # calls of one shape: one that comes once is not worth it
MOST_RECORDINGS = 24  # of one network; the one longest unused goes. Two sizes of picture with all their buckets, twice

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class _Recorded:
    inputs: Sequence[Tensor]
    recording: Recording


class Region:
    """`function` takes tensors of as many rows each and answers one of as many; no row may depend on another."""

    def __init__(self, name: str, function: Callable[..., Tensor], device: Device) -> None:
        self._name = name
        self._function = function
        self._device = device
        self._recorded: OrderedDict[tuple[Shape, ...], _Recorded | None] = OrderedDict()  # None: cannot be recorded
        self._calls: Counter[tuple[Shape, ...]] = Counter()

    def __call__(self, *columns: Sequence[Tensor]) -> Tensor:
        """For each parameter of the function the tensors, of one row or more, that are joined to it."""
        count = sum(len(piece) for piece in columns[0])
        recorded = self._recording(count, columns) if self._device.records else None
        if recorded is None:
            return self._function(*(_joined(column) for column in columns))
        for whole, column in zip(recorded.inputs, columns, strict=True):
            torch.cat(list(column), out=whole[:count])
        recorded.recording.replay()
        return recorded.recording.output[:count].clone()  # the next replay writes there again

    def prepare(self, *rows: Tensor) -> None:
        """Record every bucket now, with `rows`, one for each parameter, as an example."""
        for bucket in BUCKETS if self._device.records else ():
            self._record(_key(bucket, [[row] for row in rows]), bucket, [[row] for row in rows])

    def _recording(self, count: int, columns: Sequence[Sequence[Tensor]]) -> _Recorded | None:
        bucket = next((size for size in BUCKETS if size >= count), None)
        if bucket is None:
            return None
        key = _key(bucket, columns)
        if key in self._recorded:
            self._recorded.move_to_end(key)
            return self._recorded[key]
        if len(self._calls) >= MOST_RECORDINGS and key not in self._calls:
            self._calls.clear()
        self._calls[key] += 1
        if self._calls[key] <= RECORD_AFTER:
            return None
        return self._record(key, bucket, columns)

    def _record(self, key: tuple[Shape, ...], bucket: int, columns: Sequence[Sequence[Tensor]]) -> _Recorded | None:
        del self._calls[key]
        try:
            inputs = [_filled(column, bucket) for column in columns]
            self._recorded[key] = _Recorded(inputs, self._device.record(self._function, inputs))
        except RuntimeError as error:  # no memory, or an operation that waits for the device
            logger.warning("%s for %d rows is not recorded: %s", self._name, bucket, error)
            self._recorded[key] = None
        while len(self._recorded) > MOST_RECORDINGS:
            self._recorded.popitem(last=False)
        return self._recorded.get(key)


def _key(bucket: int, columns: Sequence[Sequence[Tensor]]) -> tuple[Shape, ...]:
    return ((bucket,), *(tuple(column[0].shape[1:]) for column in columns))


def _joined(column: Sequence[Tensor]) -> Tensor:
    return column[0] if len(column) == 1 else torch.cat(list(column))


def _filled(column: Sequence[Tensor], bucket: int) -> Tensor:
    """New memory of `bucket` rows, each the first row of `column`, in the order that the networks like."""
    first = column[0]
    order = torch.channels_last if first.dim() == 4 else torch.contiguous_format
    return first[:1].expand(bucket, *first.shape[1:]).clone(memory_format=order)
