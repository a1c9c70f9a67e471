"""The camera of benchmarks: a coloured scene that pans, light for a while and dark for a while, always the same."""

from __future__ import annotations

from functools import lru_cache

import av
import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 640, 480
FPS = 30
FLIP_EVERY = 1.0  # seconds of light, then of dark
PAN = 8  # pixels a picture
PERIOD = WIDTH // PAN  # pictures, after which it begins again
DARK = 0.2  # of the brightness
GRAIN = 4.0  # levels of noise, as a camera has


def is_light(seconds: float) -> bool:
    """At that time since the beginning."""
    return int(seconds / FLIP_EVERY) % 2 == 0


@lru_cache(maxsize=2 * PERIOD)
def picture(number: int, light: bool) -> av.VideoFrame:
    """The scene as it has panned, `number` below PERIOD. The same object each time, for it is made at some cost."""
    shown = np.roll(_scene(), PAN * number, axis=1) * (1.0 if light else DARK)
    return av.VideoFrame.from_ndarray(shown.astype(np.uint8), format="rgb24").reformat(format="yuv420p")


def prepare() -> None:
    """Make all pictures."""
    for number in range(PERIOD):
        for light in (True, False):
            picture(number, light)


@lru_cache(maxsize=1)
def _scene() -> NDArray[np.float64]:
    chance = np.random.default_rng(7)
    patches = cv2.resize(chance.uniform(40, 230, (12, 16, 3)), (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.clip(patches + chance.normal(0, GRAIN, patches.shape), 0, 255), np.float64)


def brightness(frame: av.VideoFrame) -> float:
    """Mean of the luma, 0 to 255."""
    plane = frame.planes[0]
    return float(np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[:, : plane.width].mean())
