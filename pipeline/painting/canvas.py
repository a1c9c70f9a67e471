"""The way of one frame around the painting itself: fit, skip what has hardly changed, mix with the camera picture.

One per session. It remembers the last answer, never a frame that it was given.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from pipeline.frame import Frame, Pixels
from pipeline.geometry import frame_in_black, place, resize
from pipeline.painting.look import mixed
from pipeline.settings import Settings

THUMBNAIL = (32, 32)  # width, height: a cell averages sensor noise away and still sees a hand move

Painting = Callable[[Pixels], Pixels]


class Canvas:
    def __init__(self) -> None:
        self._answer: Frame | None = None
        self._seen: Pixels | None = None

    def forget(self) -> None:
        """The next frame is painted whatever it looks like."""
        self._answer = self._seen = None

    def paint(self, frame: Frame, settings: Settings, painting: Painting) -> Frame:
        """The answer to `frame`: RGB24, of the size in `settings`, in memory of its own.

        `painting` is given the picture without black bars, (H, W, 3) uint8, sides of 16 or more, and answers the same
        size. It is not called if the last answer stands again, or if none of it would be seen.
        """
        rgb, size = frame.rgb(), (settings.width, settings.height)
        placement = place((frame.width, frame.height), size, settings.fit)
        camera = resize(placement.source.cut(rgb), placement.target.width, placement.target.height)
        seen = None
        if settings.similarity_threshold > 0:
            seen = _thumbnail(camera)
            if self._answer and self._seen is not None and likeness(seen, self._seen) > settings.similarity_threshold:
                return self._answer
        strength = settings.denoising_strength
        picture = mixed(painting(camera), camera, strength) if strength > 0 else camera
        self._answer = Frame.from_rgb(frame_in_black(picture, placement.target, *size))
        self._seen = seen
        return self._answer


def likeness(one: Pixels, other: Pixels) -> float:
    """1 for the same thumbnails, 0 for black against white. The cell that differs most counts: a small thing that
    moves in a still scene is a change."""
    return 1 - float(cv2.norm(one, other, cv2.NORM_INF)) / 255


def _thumbnail(rgb: Pixels) -> Pixels:
    small = cv2.resize(rgb, THUMBNAIL, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
