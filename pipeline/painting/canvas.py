"""The way of one frame around the painting itself: fit, skip what has hardly changed, mix with the camera picture.

One per session. It remembers the last answer, never a frame that it was given.
"""

from __future__ import annotations

from collections.abc import Callable

from pipeline.frame import Frame, Pixels
from pipeline.geometry import frame_in_black, place, resize
from pipeline.painting.look import mixed
from pipeline.policy.similarity import Similarity
from pipeline.settings import Settings

Painting = Callable[[Pixels], Pixels]


class Canvas:
    def __init__(self) -> None:
        self._answer: Frame | None = None
        self._similarity = Similarity()

    def forget(self) -> None:
        """The next frame is painted whatever it looks like."""
        self._answer = None
        self._similarity.forget()

    def paint(self, frame: Frame, settings: Settings, painting: Painting) -> Frame:
        """The answer to `frame`: RGB24, of the size in `settings`, in memory of its own.

        `painting` is given the picture without black bars, (H, W, 3) uint8, sides of 16 or more, and answers the same
        size. It is not called if the last answer stands again, or if none of it would be seen.
        """
        rgb, size = frame.rgb(), (settings.width, settings.height)
        placement = place((frame.width, frame.height), size, settings.fit)
        camera = resize(placement.source.cut(rgb), placement.target.width, placement.target.height)
        if self._similarity.skips(camera, settings.similarity_threshold) and self._answer:
            return self._answer
        strength = settings.denoising_strength
        picture = mixed(painting(camera), camera, strength) if strength > 0 else camera
        self._answer = Frame.from_rgb(frame_in_black(picture, placement.target, *size))
        self._similarity.painted()
        return self._answer
