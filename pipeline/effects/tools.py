"""Small picture sums that the effects share. Pictures are (H, W, 3) uint8 RGB, grey ones (H, W) uint8.

Lengths in the effects are given for a picture of 512x512 and multiplied by `unit`, so that a look keeps its
proportions at other sizes. Patterns are fixed for a size and a variant: they do not flicker, and they are cached.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import sqrt

import cv2
import numpy as np
from cv2.typing import MatLike

Colour = tuple[int, ...]
REFERENCE_SIDE = 512  # pixels: the size that lengths are given for
PATTERNS_KEPT = 16  # per kind; one is 0.25 MB at 512x512


def unit(picture: MatLike) -> float:
    """Pixels of this picture for one pixel of a 512x512 picture."""
    return sqrt(picture.shape[0] * picture.shape[1]) / REFERENCE_SIDE


def odd(length: float) -> int:
    """The odd whole number near `length`, at least 3: kernels have a middle."""
    return max(3, 2 * round((length - 1) / 2) + 1)


def grey(rgb: MatLike) -> MatLike:
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)


def rgb(grey_picture: MatLike) -> MatLike:
    return cv2.cvtColor(grey_picture, cv2.COLOR_GRAY2RGB)


def blur(picture: MatLike, sigma: float) -> MatLike:
    return cv2.GaussianBlur(picture, (0, 0), max(sigma, 0.3))


def shrink(picture: MatLike, factor: int) -> MatLike:
    """Scaled down by `factor`, to at least one pixel."""
    size = max(1, picture.shape[1] // factor), max(1, picture.shape[0] // factor)
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def enlarge(picture: MatLike, like: MatLike, interpolation: int = cv2.INTER_LINEAR) -> MatLike:
    return cv2.resize(picture, (like.shape[1], like.shape[0]), interpolation=interpolation)


def levelled(grey_picture: MatLike) -> MatLike:
    """The 2 to 98 % range stretched to the full one, so that dim webcams work like bright ones."""
    low, high = np.percentile(grey_picture[::4, ::4], (2, 98))
    gain = 255 / max(high - low, 48)  # a flat picture must not become noise
    table = np.clip((np.arange(256) - low) * gain, 0, 255).astype(np.uint8)
    return cv2.LUT(grey_picture, table)


def ramp(colours: Sequence[Colour]) -> MatLike:
    """(256, 1, channels) uint8 lookup table through evenly spaced colours."""
    stops = np.linspace(0, 255, len(colours))
    channels = [np.interp(np.arange(256), stops, channel) for channel in zip(*colours, strict=True)]
    return np.stack(channels, axis=1).astype(np.uint8)[:, None]


@lru_cache(PATTERNS_KEPT)
def gamma(power: float) -> MatLike:
    return np.asarray([int(255 * pow(level / 255, power)) for level in range(256)], np.uint8)


def ink_lines(grey_picture: MatLike, sigma: float, threshold: float, softness: float) -> MatLike:
    """XDoG lines (Winnemoeller 2012): 255 is paper, 0 is ink. `threshold` and `softness` are in levels."""
    base = grey_picture.astype(np.float32)
    sharp = cv2.addWeighted(blur(base, sigma), 20, blur(base, sigma * 1.6), -19, -threshold)
    levels = np.asarray(sharp * (255 / softness) + 255, np.float32)
    return np.asarray(levels.clip(0, 255), np.uint8)


@lru_cache(PATTERNS_KEPT)
def paper(height: int, width: int, strength: int, variant: int) -> MatLike:
    """Grain, (H, W) uint8 just below 255."""
    noise = np.random.default_rng(variant).normal(size=(height, width)).astype(np.float32)
    fine = sqrt(height * width) / REFERENCE_SIDE
    grain = blur(noise, 0.8) + blur(noise, 2.0 * fine) * 2 * fine
    return np.asarray(np.clip(255 - strength * (1 + grain), 0, 255), np.uint8)


def on_paper(picture: MatLike, strength: int, variant: int) -> MatLike:
    height, width = picture.shape[:2]
    return cv2.multiply(picture, rgb(paper(height, width, strength, variant)), scale=1 / 255)
