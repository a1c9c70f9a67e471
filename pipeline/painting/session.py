"""What a painter keeps of one session: its settings, its look and how that changes, its canvas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pipeline.frame import Frame
from pipeline.painting import wish
from pipeline.painting.canvas import Canvas, Painting
from pipeline.painting.look import Glide
from pipeline.painting.smooth import Smoother
from pipeline.prompts import Resolution
from pipeline.settings import Settings

Translate = Callable[[Resolution], Resolution]


@dataclass(eq=False)
class PaintingSession:
    """`translate` says in what a painter can paint what the prompts ask for."""

    settings: Settings
    translate: Translate
    resolution: Resolution = field(init=False)  # in force; the last one that was understood
    held: bool = field(init=False)  # the prompts in force were not understood
    glide: Glide = field(init=False)
    canvas: Canvas = field(default_factory=Canvas)
    smoother: Smoother = field(default_factory=Smoother)

    def __post_init__(self) -> None:
        asked = self.translate(wish.wanted(self.settings))
        self.held = not asked.understood
        self.resolution = self.translate(wish.first(self.settings.seed)) if self.held else asked
        self.glide = Glide(wish.look(self.resolution, self.settings.seed))

    def apply(self, settings: Settings, changed: frozenset[str]) -> None:
        self.settings = settings
        if changed & wish.RESOLVED_FROM:
            asked = self.translate(wish.wanted(settings))
            self.held = not asked.understood
            self.resolution = self.resolution if self.held else asked
        if changed & wish.LOOK_FROM:
            self.glide.turn_to(wish.look(self.resolution, settings.seed), settings.glide_frames)
        self.canvas.forget()

    def paint(self, frame: Frame, painting: Painting) -> Frame:
        """One frame on; see `Canvas.paint`."""
        if self.glide.moving:
            self.canvas.forget()  # the look changes even if the scene does not
        return self.canvas.paint(frame, self.settings, painting)

    def notes(self, kind: str) -> list[str]:
        """What is painted, for the user; `kind` is the word for a mix."""
        if self.held:
            return [f"no style word found in the prompt: keeping {wish.words(self.resolution).removeprefix('100 % ')}"]
        return [f"{kind}: {wish.words(self.resolution)} (match {self.resolution.score:.1f})"]
