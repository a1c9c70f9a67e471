"""Whether a picture has changed enough to be painted again. Pure; cheap enough for every frame of every session."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

THUMBNAIL = (32, 32)  # width, height: a cell averages sensor noise away and still sees a hand move

Pixels = NDArray[np.uint8]


class Similarity:
    """Of one session. A picture that is not skipped counts once `painted` is called: one that failed does not."""

    def __init__(self) -> None:
        self._painted: Pixels | None = None
        self._coming: Pixels | None = None

    def skips(self, picture: Pixels, threshold: float) -> bool:
        """Whether `picture`, luma (H, W) or RGB (H, W, 3), is more like the last painted than `threshold` (0: off)."""
        self._coming = thumbnail(picture) if threshold > 0 else None
        if self._coming is None or self._painted is None:
            return False
        return likeness(self._coming, self._painted) > threshold

    def painted(self) -> None:
        """The picture that was asked about last."""
        self._painted = self._coming

    def forget(self) -> None:
        """The next picture is not skipped."""
        self._painted = None


def likeness(one: Pixels, other: Pixels) -> float:
    """1 for the same thumbnails, 0 for black against white. The cell that differs most counts: a small thing that
    moves in a still scene is a change."""
    return 1 - float(cv2.norm(one, other, cv2.NORM_INF)) / 255


def thumbnail(picture: Pixels) -> Pixels:
    """The luma of `picture`, 32 x 32."""
    small = np.asarray(cv2.resize(picture, THUMBNAIL, interpolation=cv2.INTER_AREA), np.uint8)
    return small if small.ndim == 2 else np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
