"""Steadiness: averages what stands still over time, so that sensor noise does not make the painting flicker.

What moves passes at once; a plain moving average would smear it.
"""

from __future__ import annotations

import cv2
import numpy as np
from cv2.typing import MatLike

from pipeline.frame import Pixels

MOTION = 9.0  # levels: a change of this much or more is motion, of half of it or less is noise
LEAST_GAIN = 0.1  # weight of a new frame at full steadiness: a still scene settles in about a second


class Smoother:
    """A recursive average with a gain for each pixel. A frame of another size starts it anew."""

    def __init__(self) -> None:
        self._mean: MatLike | None = None

    def __call__(self, picture: Pixels, steadiness: float) -> Pixels:
        """(H, W, 3) uint8 in and out; `steadiness` 0 (off) to 1."""
        if steadiness <= 0:
            self._mean = None
            return picture
        new = picture.astype(np.float32)
        if self._mean is None or self._mean.shape != new.shape:
            self._mean = new
            return picture
        still = max(LEAST_GAIN, 1 - steadiness)
        change = cv2.blur(cv2.cvtColor(cv2.absdiff(new, self._mean), cv2.COLOR_RGB2GRAY), (5, 5))
        gain = still + (1 - still) * np.clip(change * (2 / MOTION) - 1, 0, 1)
        self._mean = cv2.blendLinear(new, self._mean, gain, 1 - gain)
        return np.asarray(cv2.convertScaleAbs(self._mean), np.uint8)
