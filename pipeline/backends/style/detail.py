"""The small painted picture brought to full size, with the fine brightness of the camera picture laid back on.

A network of this size dissolves faces; eyes and mouths come back as detail, heads stay paint.
"""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.frame import Pixels

AMOUNT = 0.6  # of the camera's detail that comes back
RADIUS = 1 / 128  # of the picture's side: what is finer is detail
FLOOR = 3  # levels: detail that is fainter is mostly sensor noise


def enlarge_with_detail(painted: Pixels, camera: Pixels, small: Pixels, amount: float = AMOUNT) -> Pixels:
    """`painted` (h, w, 3) at the size of `camera` (H, W, 3), with the part of its luma that is finer than RADIUS.

    `small` (h, w, 3) is what the network was given, free of noise.
    """
    height, width = camera.shape[:2]
    large = cv2.resize(painted, (width, height), interpolation=cv2.INTER_CUBIC)
    if amount <= 0:
        return np.asarray(large, np.uint8)
    sigma = RADIUS * (small.shape[0] * small.shape[1]) ** 0.5
    coarse = cv2.GaussianBlur(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), (0, 0), sigma)
    coarse = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    fine = cv2.addWeighted(cv2.cvtColor(camera, cv2.COLOR_RGB2GRAY), amount, coarse, -amount, 0, dtype=cv2.CV_16S)
    fine -= np.clip(fine, -FLOOR, FLOOR)
    return np.asarray(cv2.add(large, cv2.merge([fine] * 3), dtype=cv2.CV_8U), np.uint8)
