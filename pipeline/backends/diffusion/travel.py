"""A tensor on its way from one value to another: how a change of prompt or seed glides over some frames."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.linalg import vector_norm

PARALLEL = 1e-4  # sine of the angle under which two directions are taken as one: the division loses its digits there


def slerp(start: Tensor, end: Tensor, part: float, dims: tuple[int, ...] = (-1,)) -> Tensor:
    """`start` at 0, `end` at 1, along the arc between their directions over `dims`.

    Between two noises a straight line would lose variance half-way, and the picture its contrast.
    """
    one, two = start.float(), end.float()
    lengths = vector_norm(one, dim=dims, keepdim=True) * vector_norm(two, dim=dims, keepdim=True)
    cosine = ((one * two).sum(dim=dims, keepdim=True) / lengths.clamp_min(1e-12)).clamp(-1, 1)
    angle = cosine.acos()
    sine = angle.sin()
    arc = (((1 - part) * angle).sin() * one + (part * angle).sin() * two) / sine.clamp_min(PARALLEL)
    return torch.where(sine < PARALLEL, (1 - part) * one + part * two, arc).to(start.dtype)


class Travel:
    """The value of the next frame. A new target starts from where the value stands."""

    def __init__(self, now: Tensor, dims: tuple[int, ...] = (-1,)) -> None:
        self.now = now
        self._from = self._to = now
        self._dims = dims
        self._done = self._length = 0

    @property
    def moving(self) -> bool:
        return self._done < self._length

    def turn_to(self, target: Tensor, frames: int) -> None:
        """Be exactly `target` with the `frames`-th frame from now; at once if `frames` is 0."""
        self._from, self._to, self._done, self._length = self.now, target, 0, frames
        if not frames:
            self.now = target

    def advance(self) -> bool:
        """One frame on; whether the value is a new one."""
        if not self.moving:
            return False
        self._done += 1
        part = self._done / self._length
        self.now = self._to if part >= 1 else slerp(self._from, self._to, part, self._dims)
        return True
