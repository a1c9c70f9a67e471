"""The small painted picture brought to full size, with the fine brightness of the camera picture laid back on.

A network of this size dissolves faces; eyes and mouths come back as detail, heads stay paint.
"""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.frame import Pixels

AMOUNT = 0.75  # of the camera's detail that comes back
VEIL = 0.35  # of the painting's own finest texture that makes room for it; it hides faces, and shows the 4-pixel grid
RADIUS = 1 / 128  # of the side of the picture: what is finer is detail
FLOOR = 3  # levels: detail that is fainter is mostly sensor noise


def enlarge_with_detail(painted: Pixels, camera: Pixels, small: Pixels) -> Pixels:
    """`painted` (h, w, 3) at the size of `camera` (H, W, 3), with the part of its luma that is finer than RADIUS.

    `small` (h, w, 3) is what the network was given, free of noise.
    """
    height, width = camera.shape[:2]
    sigma = RADIUS * (small.shape[0] * small.shape[1]) ** 0.5
    calm = cv2.addWeighted(painted, 1 - VEIL, cv2.GaussianBlur(painted, (0, 0), sigma), VEIL, 0)
    large = cv2.resize(calm, (width, height), interpolation=cv2.INTER_CUBIC)
    coarse = cv2.GaussianBlur(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), (0, 0), sigma)
    coarse = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    fine = cv2.addWeighted(cv2.cvtColor(camera, cv2.COLOR_RGB2GRAY), AMOUNT, coarse, -AMOUNT, 0, dtype=cv2.CV_16S)
    fine -= np.clip(fine, -FLOOR, FLOOR)
    return np.asarray(cv2.add(large, cv2.merge([fine] * 3), dtype=cv2.CV_8U), np.uint8)
