"""Effects that move pixels: kaleidoscope."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from cv2.typing import MatLike

from pipeline.effects import tools

SECTORS = 6
TIP = (0.5, 0.66)  # of width and height: where the wedge starts; it opens upwards and holds the head of a person
ZOOM = 1.25  # the source wedge is that much longer than the painted one


def kaleidoscope(picture: MatLike, variant: int) -> MatLike:
    """Mirrored wedges cut from the middle of the picture, where the person is."""
    places = _mirror_map(*picture.shape[:2], variant)
    return cv2.remap(picture, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


@lru_cache(tools.PATTERNS_KEPT)
def _mirror_map(height: int, width: int, variant: int) -> tuple[MatLike, MatLike]:
    y, x = np.mgrid[:height, :width].astype(np.float32)
    radius, angle = cv2.cartToPolar(x - (width - 1) / 2, y - (height - 1) / 2)
    sector = 2 * np.pi / SECTORS
    turned = angle + np.pi / 2 + (variant + 14) % 16 * sector / 16
    folded = np.abs((turned + sector / 2) % sector - sector / 2) - np.pi / 2
    from_x = width * TIP[0] + ZOOM * radius * np.cos(folded)
    from_y = height * TIP[1] + ZOOM * radius * np.sin(folded)
    return cv2.convertMaps(from_x.astype(np.float32), from_y.astype(np.float32), cv2.CV_16SC2)
