"""A clip whose motion is known, and two figures for what a pipeline makes of it: how much it flickers, how sharp it is.

Three seconds of a photograph with a camera's noise: first it stands still, then it moves. As the motion is known,
what changes beside it is flicker, of the camera and of the pipeline. A blur would lower that too, hence the sharpness.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np

from pipeline.frame import Frame, Pixels
from tests.pipeline.samples import astronaut

FPS = 30
SECONDS = 3
NOISE = 4.0  # levels, standard deviation: a webcam indoors
REACH = 0.2  # of the side: how far the picture moves
DETAIL = 1.2  # pixels, standard deviation: what is finer counts as noise, not as sharpness

Flow: TypeAlias = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Sample:
    frame: Frame
    flow: Flow  # (dx, dy) in pixels: how far what is seen has moved since the sample before; to the right and down


def clip(side: int = 512, noise: float = NOISE) -> list[Sample]:
    """Always the same pictures, `side` pixels square. They move by whole pixels, so nothing is lost on the way."""
    reach = round(side * REACH)
    photograph = astronaut(side + reach, side + reach)
    chance = np.random.default_rng(0)
    samples = []
    before = None
    for index in range(FPS * SECONDS):
        turn = max(0.0, index / (FPS * SECONDS / 2) - 1)  # 0 in the first half, then up to 1
        swing = (1 - math.cos(math.pi * turn)) / 2  # sets off and ends softly
        left, top = round(reach * swing), round(reach / 2 * swing)
        picture = photograph[top : top + side, left : left + side] + chance.normal(0, noise, (side, side, 3))
        flow = (before[0] - left, before[1] - top) if before else (0, 0)  # the window goes right, what is seen left
        samples.append(Sample(Frame.from_rgb(picture.round().clip(0, 255).astype(np.uint8)), flow))
        before = (left, top)
    return samples


def flicker(pictures: Sequence[Pixels], flows: Sequence[Flow]) -> float:
    """Mean difference, in levels of 0 to 255, of each picture to the one before it moved by its flow.

    Only what both show counts. `flows` are in pixels of `pictures`, as many; the first is not looked at.
    """
    pairs = zip(pictures[:-1], pictures[1:], flows[1:], strict=True)
    return float(np.mean([_change(before, after, flow) for before, after, flow in pairs]))


def sharpness(pictures: Sequence[Pixels]) -> float:
    """Mean slope of the brightness, in levels a pixel, of what is coarser than noise."""
    return float(np.mean([_slope(picture) for picture in pictures]))


def _change(before: Pixels, after: Pixels, flow: Flow) -> float:
    height, width = before.shape[:2]
    dx, dy = flow
    moved = cv2.warpAffine(before, np.array([[1, 0, dx], [0, 1, dy]], float), (width, height), flags=cv2.INTER_LINEAR)
    left, right = max(0, math.ceil(dx)), width - max(0, math.ceil(-dx))
    top, bottom = max(0, math.ceil(dy)), height - max(0, math.ceil(-dy))
    return float(cv2.absdiff(moved, after)[top:bottom, left:right].mean())


def _slope(picture: Pixels) -> float:
    grey = cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), DETAIL)
    down, right = np.gradient(grey)
    return float(np.hypot(down, right).mean())
