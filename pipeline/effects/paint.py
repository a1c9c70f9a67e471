"""Effects that paint: watercolour, oil, cartoon."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from cv2.typing import MatLike

from pipeline.effects import tools

WASH_TONES = ((62,), (138,), (205,), (242,), (254,))  # how light a wash is, from the scene's shadows to its lights
STROKE_STEPS = (-6, -3, 0, 3, 6)  # pixels along the stroke at which the oil effect looks


def _flat_half(picture: MatLike, rounds: int, colour: float) -> MatLike:
    """A half-size copy with its textures smoothed and its edges kept."""
    unit = tools.unit(picture)
    small = tools.shrink(picture, 2)
    for _ in range(rounds):
        small = cv2.bilateralFilter(small, tools.odd(7 * unit), colour, 5 * unit)
    return small


def watercolor(picture: MatLike, variant: int) -> MatLike:
    """Light, lively washes with darker rims on white paper, over a faint pencil drawing that keeps faces readable."""
    unit = tools.unit(picture)
    wash = cv2.medianBlur(_flat_half(picture, 1, 45), tools.odd(3 * unit))
    grey = tools.grey(wash)
    tone = cv2.LUT(tools.levelled(grey), tools.ramp(WASH_TONES))
    vivid = cv2.addWeighted(wash, 1.35, tools.rgb(grey), -1.35, 0, dtype=cv2.CV_16S)
    light = cv2.add(vivid, tools.rgb(tone), dtype=cv2.CV_8U)
    rim = cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    rimmed = cv2.subtract(light, tools.rgb(cv2.convertScaleAbs(rim, alpha=0.6)))
    painted = tools.enlarge(rimmed, picture, cv2.INTER_CUBIC)
    drawing = tools.ink_lines(tools.levelled(tools.grey(picture)), 0.9 * unit, 8, 110)
    drawn = cv2.multiply(painted, tools.rgb(np.maximum(drawing, 110)), scale=1 / 255)
    return tools.on_paper(drawn, 10, variant)


def oil(picture: MatLike, variant: int) -> MatLike:
    """Brush strokes that follow the contours, lit as if the paint were thick."""
    unit = tools.unit(picture)
    height, width = picture.shape[:2]
    along_x, along_y = _contours(tools.grey(picture), unit)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    smooth = cv2.medianBlur(picture, tools.odd(3 * unit))
    vivid = cv2.addWeighted(smooth, 1.25, tools.rgb(tools.grey(smooth)), -0.25, 0)
    paint = cv2.merge([*cv2.split(vivid), tools.paper(height, width, 60, variant)])
    total = np.zeros((height, width, 4), np.uint16)
    for step in STROKE_STEPS:
        place = x + step * unit * along_x, y + step * unit * along_y
        stroke = cv2.remap(paint, *place, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        total = np.asarray(cv2.add(total, stroke, dtype=cv2.CV_16U), np.uint16)
    mean = cv2.convertScaleAbs(total, alpha=1 / len(STROKE_STEPS))
    relief = mean[..., 3]
    side = tools.odd(9 * unit)
    bumps = cv2.subtract(relief, cv2.blur(relief, (side, side)), dtype=cv2.CV_16S)
    light = cv2.addWeighted(cv2.Sobel(relief, cv2.CV_16S, 1, 1), 0.6, bumps, 0.6, 4)
    return cv2.add(cv2.cvtColor(mean, cv2.COLOR_RGBA2RGB), cv2.merge([light] * 3), dtype=cv2.CV_8U)


def _contours(grey: MatLike, unit: float) -> tuple[MatLike, MatLike]:
    """Unit steps along the contours, float32 x and y, from the structure tensor at half size."""
    small = tools.blur(tools.shrink(grey, 2), unit)
    dx, dy = cv2.Sobel(small, cv2.CV_32F, 1, 0), cv2.Sobel(small, cv2.CV_32F, 0, 1)
    xx, yy, xy = (tools.blur(product, 2.5 * unit) for product in (dx * dx, dy * dy, dx * dy))
    along = 0.5 * cv2.phase(xx - yy, 2 * xy) + np.pi / 2
    x, y = cv2.polarToCart(np.ones_like(along), along)
    return tools.enlarge(x, grey, cv2.INTER_NEAREST), tools.enlarge(y, grey, cv2.INTER_NEAREST)


def cartoon(picture: MatLike, variant: int) -> MatLike:
    """Flat, lively colours in a few brightness steps under ink lines."""
    flat = tools.enlarge(_flat_half(picture, 2, 40), picture, cv2.INTER_CUBIC)
    luma, red, blue = cv2.split(cv2.cvtColor(flat, cv2.COLOR_RGB2YCrCb))
    lines = tools.ink_lines(tools.levelled(luma), 1.1 * tools.unit(picture), 8, 90)
    steps = cv2.LUT(luma, _soft_steps(5 + (variant + 2) % 3))
    colour = cv2.cvtColor(cv2.merge([steps, _vivid(red), _vivid(blue)]), cv2.COLOR_YCrCb2RGB)
    return cv2.multiply(colour, tools.rgb(lines), scale=1 / 255)


def _vivid(chroma: MatLike) -> MatLike:
    return cv2.convertScaleAbs(chroma, alpha=1.3, beta=-0.3 * 128)


@lru_cache(tools.PATTERNS_KEPT)
def _soft_steps(count: int) -> MatLike:
    """Lookup of brightness in `count` steps with short ramps between, so that noise does not flip a step."""
    level = np.arange(256) / 255 * count
    slope = np.clip((level % 1 - 0.8) / 0.2, 0, 1)
    return np.clip((np.floor(level) + slope + 0.4) / count * 255, 0, 255).astype(np.uint8)
