"""Classical effects: line, print and paint effects that any CPU paints live. The prompt chooses which."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import ClassVar

from pipeline.backend import Progress, Report
from pipeline.errors import BadFrame, PipelineError
from pipeline.frame import Frame, Pixels
from pipeline.painting import wish
from pipeline.painting.look import lay_effects
from pipeline.painting.session import PaintingSession
from pipeline.settings import Settings

logger = logging.getLogger(__name__)


class Effects:
    name: ClassVar[str] = "effects"
    title: ClassVar[str] = "Classical effects (CPU)"
    ignores: ClassVar[frozenset[str]] = frozenset({"guidance", "delta", "steps", "cfg_type"})
    rebuilds: ClassVar[frozenset[str]] = frozenset()
    batch_limit: ClassVar[int] = 1
    device = "cpu"
    model = None

    def load(self, report: Report) -> None:
        report(Progress("ready"))

    def new_state(self, settings: Settings) -> PaintingSession:
        return PaintingSession(settings, wish.effects_only)

    def apply(self, state: PaintingSession, settings: Settings, changed: frozenset[str]) -> None:
        state.apply(settings, changed)

    def notes(self, state: PaintingSession) -> list[str]:
        return state.notes("effect mix")

    def step(self, batch: Sequence[tuple[PaintingSession, Frame]]) -> list[Frame | PipelineError]:
        return [self._paint(state, frame) for state, frame in batch]

    def close(self) -> None:
        pass

    def _paint(self, state: PaintingSession, frame: Frame) -> Frame | PipelineError:
        def painting(camera: Pixels) -> Pixels:
            steady = state.smoother(camera, state.settings.steadiness)
            return lay_effects(state.glide.advance(), steady, steady)

        try:
            return state.paint(frame, painting)
        except Exception:  # one session's picture must not cost another session its own
            logger.exception("a frame of %dx%d could not be painted", frame.width, frame.height)
            return BadFrame("This frame could not be painted.", "Go on with the next one.")
