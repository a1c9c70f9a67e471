"""Neural style (CPU): a small network paints each frame as a mix of 26 styles, and classical effects may go on top.

The prompt chooses how the picture is painted, never what is in it. Nothing is fetched: the weights come with an
installed package.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from pipeline.backend import Progress, Report
from pipeline.backends.style.blend import exaggerate, style_params
from pipeline.backends.style.detail import enlarge_with_detail
from pipeline.backends.style.graph import Floats, build, styles_source
from pipeline.backends.style.net import SIDE_MULTIPLE, StyleNet, default_threads
from pipeline.errors import BadFrame, PipelineError
from pipeline.frame import Frame, Pixels
from pipeline.geometry import resize, same_shape
from pipeline.painting.look import Look, lay_effects, mixed
from pipeline.painting.session import PaintingSession
from pipeline.policy.governor import SIZES, Governor
from pipeline.settings import Settings

logger = logging.getLogger(__name__)


class NeuralStyle:
    name: ClassVar[str] = "neural-style"
    title: ClassVar[str] = "Neural style (CPU)"
    ignores: ClassVar[frozenset[str]] = frozenset({"cfg_type", "delta"})
    rebuilds: ClassVar[frozenset[str]] = frozenset()
    batch_limit: ClassVar[int] = 1
    device = "cpu"
    model = None

    def __init__(self, threads: int | None = None, sizes: Sequence[int] = SIZES) -> None:
        """`threads` paint one frame (None: half of the cores); `sizes` are the network's, in pixels, ascending."""
        self._threads = threads or default_threads()
        self._governor = Governor(sizes)
        self._net: StyleNet
        self._table: Floats

    def load(self, report: Report) -> None:
        report(Progress("network", 0, 2, "steps"))
        model = build(styles_source())
        report(Progress("network", 1, 2, "steps"))
        self._net, self._table = StyleNet(model, self._threads), model.table
        side = self._governor.size
        self._net(np.zeros((side, side, 3), np.uint8), self._table[0])  # ready means that a picture went through
        report(Progress("network", 2, 2, "steps"))

    def new_state(self, settings: Settings) -> PaintingSession:
        return PaintingSession(settings, lambda resolution: resolution)

    def apply(self, state: PaintingSession, settings: Settings, changed: frozenset[str]) -> None:
        state.apply(settings, changed)

    def notes(self, state: PaintingSession) -> list[str]:
        return state.notes("style mix")

    def step(self, batch: Sequence[tuple[PaintingSession, Frame]]) -> list[Frame | PipelineError]:
        return [self._answer(state, frame) for state, frame in batch]

    def close(self) -> None:
        del self._net

    def _answer(self, state: PaintingSession, frame: Frame) -> Frame | PipelineError:
        started, painted = time.monotonic(), False

        def painting(camera: Pixels) -> Pixels:
            nonlocal painted
            look = state.glide.advance()
            painted = look.neural > 0
            return self._paint(camera, look, state)

        try:
            answer = state.paint(frame, painting)
        except Exception:  # one session's picture must not cost another session its own
            logger.exception("a frame of %dx%d could not be painted", frame.width, frame.height)
            return BadFrame("This frame could not be painted.", "Go on with the next one.")
        if painted:
            now = time.monotonic()
            self._governor.observe(now, now - started, id(state))
        return answer

    def _paint(self, camera: Pixels, look: Look, state: PaintingSession) -> Pixels:
        """One (H, W, 3) picture: the network first, then the effects."""
        settings = state.settings
        if not look.neural:
            steady = state.smoother(camera, settings.steadiness)
            return lay_effects(look, steady, steady)
        height, width = camera.shape[:2]
        small = resize(camera, *same_shape(width, height, self._governor.size, SIDE_MULTIPLE))
        small = state.smoother(small, settings.steadiness)
        params = style_params(self._table, look.styles)
        painted = small
        for _ in range(settings.steps):  # each pass carries the picture further from the camera's
            painted = self._net(painted, params)
        base = enlarge_with_detail(exaggerate(painted, small, settings.guidance), camera, small)
        return lay_effects(look, mixed(base, camera, look.neural), camera)
