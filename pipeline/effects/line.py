"""Effects made of lines: ink, pencil, neon."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from cv2.typing import MatLike

from pipeline.effects import tools

INKS = (  # ink and paper
    ((24, 22, 30), (247, 242, 230)),
    ((20, 26, 48), (244, 244, 240)),
    ((44, 26, 18), (248, 238, 216)),
)
TUBES = (  # colours of the tubes by direction, the last meets the first
    ((255, 40, 170), (190, 60, 255), (40, 170, 255), (30, 255, 220), (255, 60, 190)),
    ((255, 90, 40), (255, 40, 140), (120, 80, 255), (255, 190, 60), (255, 90, 40)),
    ((40, 255, 140), (40, 220, 255), (110, 90, 255), (230, 80, 255), (40, 255, 140)),
)

NIGHT = (41, 33, 71)  # what is left of white beside the tubes


def ink(picture: MatLike, variant: int) -> MatLike:
    """Black brush ink on paper, with solid shadows."""
    lines = tools.ink_lines(tools.levelled(tools.grey(picture)), 1.2 * tools.unit(picture), 105, 105)
    return cv2.LUT(tools.rgb(lines), tools.ramp(INKS[variant % len(INKS)]))


def pencil(picture: MatLike, variant: int) -> MatLike:
    """Graphite: contours by colour dodge, hatching in the shadows, grained paper."""
    unit = tools.unit(picture)
    grey = tools.levelled(tools.grey(picture))
    contours = cv2.divide(grey, np.maximum(tools.blur(grey, 5 * unit), 1), scale=252)
    shadow = cv2.bitwise_not(cv2.convertScaleAbs(tools.blur(grey, 1.5 * unit), beta=30))
    shading = cv2.bitwise_not(cv2.multiply(shadow, _hatching(*grey.shape, variant), scale=1 / 190))
    drawing = cv2.multiply(cv2.LUT(contours, tools.gamma(1.6)), shading, scale=1 / 255)
    return tools.on_paper(tools.rgb(drawing), 8, variant)


@lru_cache(tools.PATTERNS_KEPT)
def _hatching(height: int, width: int, variant: int) -> MatLike:
    """Diagonal strokes, (H, W) uint8 with mean near 110."""
    noise = np.random.default_rng(variant).normal(size=(height, width)).astype(np.float32)
    length = tools.odd(21 * tools.unit(noise))
    stroke = np.eye(length, dtype=np.float32)[::-1] / length**0.5
    return np.clip(110 + 70 * cv2.filter2D(noise, -1, stroke), 0, 255).astype(np.uint8)


def neon(picture: MatLike, variant: int) -> MatLike:
    """Glowing tubes along the contours, coloured by direction; the scene stays faintly visible."""
    unit = tools.unit(picture)
    grey = tools.blur(tools.levelled(tools.grey(picture)), 1.4 * unit)
    dx, dy = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    size, angle = cv2.cartToPolar(dx, dy, angleInDegrees=True)
    size *= unit  # a wider blur makes a weaker slope
    tube = cv2.convertScaleAbs(np.maximum(size - 22, 0), alpha=1.5)
    colours = tools.ramp(TUBES[variant % len(TUBES)])
    hue = cv2.LUT(tools.rgb(cv2.convertScaleAbs(angle, alpha=255 / 360)), colours)
    light = cv2.multiply(hue, tools.rgb(tube), scale=1 / 255)
    glow = tools.enlarge(tools.blur(tools.shrink(light, 4), 4 * unit), picture)
    night = cv2.LUT(picture, tools.ramp(((0, 0, 0), NIGHT)))
    return cv2.add(cv2.addWeighted(glow, 1.8, night, 1, 0), light)
