"""Effects that print: halftone, pixel art, gradient map."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from cv2.typing import MatLike

from pipeline.effects import tools

SCREEN_ANGLES = (15, 75, 0)  # degrees of the cyan, magenta and yellow screens: far apart, against moire
SCREEN_PITCH = 7.0  # pixels between dots
BLOCK = 4.0  # pixels of a pixel-art block
BAYER = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]], np.int16) - 8
PALETTES = (  # sixteen colours each
    # PICO-8, by Lexaloffle
    "000000 1d2b53 7e2553 008751 ab5236 5f574f c2c3c7 fff1e8 ff004d ffa300 ffec27 00e436 29adff 83769c ff77a8 ffccaa",
    # DB16, by DawnBringer
    "140c1c 442434 30346d 4e4a4e 854c30 346524 d04648 757161 597dce d27d2c 8595a1 6daa2c d2aa99 6dc2ca dad45e deeed6",
    # Sweetie 16, by GrafxKid
    "1a1c2c 5d275d b13e53 ef7d57 ffcd75 a7f070 38b764 257179 29366f 3b5dc9 41a6f6 73eff7 f4f4f4 94b0c2 566c86 333c57",
)
GRADIENTS = (  # dark to light
    ((10, 20, 40), (18, 80, 100), (60, 150, 140), (230, 180, 90), (255, 240, 200)),
    ((8, 8, 30), (60, 20, 110), (180, 40, 160), (255, 110, 190), (190, 240, 255)),
    ((18, 10, 52), (92, 24, 120), (206, 52, 108), (255, 136, 62), (255, 236, 170)),
)


def halftone(picture: MatLike, variant: int) -> MatLike:
    """Three-colour print: cyan, magenta and yellow dots on cream paper."""
    unit = tools.unit(picture)
    lively = cv2.addWeighted(picture, 1.35, tools.rgb(tools.grey(picture)), -0.35, 12)
    dots = [
        cv2.subtract(tools.blur(channel, 1.2 * unit), _screen(*channel.shape, angle + 5 * variant, SCREEN_PITCH * unit))
        for channel, angle in zip(cv2.split(lively), SCREEN_ANGLES, strict=True)
    ]
    inks = cv2.convertScaleAbs(cv2.merge(dots), alpha=9)  # steep but not binary: dots get soft edges
    return cv2.LUT(inks, tools.ramp(((20, 16, 28), (252, 247, 232))))


@lru_cache(3 * tools.PATTERNS_KEPT)
def _screen(height: int, width: int, degrees: float, pitch: float) -> MatLike:
    """Thresholds of a dot screen, (H, W) uint8 with every level equally often: a cosine lattice, turned."""
    y, x = np.mgrid[:height, :width].astype(np.float32) * np.float32(2 * np.pi / pitch)
    c, s = np.float32(np.cos(np.radians(degrees))), np.float32(np.sin(np.radians(degrees)))
    wave = np.cos(c * x + s * y) + np.cos(c * y - s * x)
    levels = np.quantile(wave[::3, ::3], np.linspace(0, 1, 256))
    return np.asarray(np.interp(wave, levels, np.arange(256)), np.uint8)


def pixel(picture: MatLike, variant: int) -> MatLike:
    """Blocks in sixteen colours with light ordered dither."""
    block = BLOCK * tools.unit(picture)
    rows, columns = max(1, round(picture.shape[0] / block)), max(1, round(picture.shape[1] / block))
    small = cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA)
    vivid = cv2.addWeighted(small, 1.25, tools.rgb(tools.grey(small)), -0.25, 0).astype(np.int16)
    dither = np.tile(BAYER, (rows // 4 + 1, columns // 4 + 1))[:rows, :columns, None] * 2
    red, green, blue = np.moveaxis(np.clip(vivid + dither, 0, 255) >> 3, 2, 0)
    return tools.enlarge(_nearest(variant % len(PALETTES))[red, green, blue], picture, cv2.INTER_NEAREST)


@lru_cache(len(PALETTES))
def _nearest(palette: int) -> MatLike:
    """(32, 32, 32, 3) uint8: the colour of the palette nearest to each, as the eye sees it (CIE Lab)."""
    colours = np.array([list(bytes.fromhex(code)) for code in PALETTES[palette].split()], np.uint8)
    grid = np.stack(np.meshgrid(*[np.arange(32) * 8 + 4] * 3, indexing="ij"), axis=-1).reshape(-1, 1, 3)
    distance = np.square(_lab(grid.astype(np.uint8)) - _lab(colours[None])).sum(axis=2)
    return np.asarray(colours[distance.argmin(axis=1)].reshape(32, 32, 32, 3), np.uint8)


def _lab(rgb: MatLike) -> MatLike:
    return cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)


def gradient_map(picture: MatLike, variant: int) -> MatLike:
    """Brightness mapped to a run of colours."""
    table = tools.ramp(GRADIENTS[variant % len(GRADIENTS)])
    return cv2.LUT(tools.rgb(tools.levelled(tools.grey(picture))), table)
