"""A number drawn into the top row of a picture, so that it survives codecs and tells which picture came back.

Twenty square cells, each a thirty-second of the width: 16 bits of number, 4 bits of check.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Luma = NDArray[np.uint8]
CELLS = 20
GRID = 32


def _check(number: int) -> int:
    return (number ^ (number >> 4) ^ (number >> 8) ^ (number >> 12) ^ 0b1010) & 0xF


def draw(luma: Luma, number: int) -> None:
    """Write `number` (modulo 65536) into a (H, W) luma plane."""
    number &= 0xFFFF
    value = (number << 4) | _check(number)
    cell = luma.shape[1] // GRID
    bits = [(value >> (CELLS - 1 - index)) & 1 for index in range(CELLS)]
    luma[:cell, : CELLS * cell] = np.repeat(np.where(bits, 235, 16).astype(np.uint8), cell)


def read(luma: Luma) -> int | None:
    """The number in a (H, W) luma plane of any size, or None if there is none."""
    cell = luma.shape[1] / GRID
    low, high = int(cell * 0.3), max(int(cell * 0.7), int(cell * 0.3) + 1)
    value = 0
    for index in range(CELLS):
        begin = int(index * cell + cell * 0.3)
        patch = luma[low:high, begin : max(int(index * cell + cell * 0.7), begin + 1)]
        value = value << 1 | bool(patch.mean() > 125)
    number, check = value >> 4, value & 0xF
    return number if check == _check(number) else None
