"""One session: its settings, what it wants to see, and its streams.

Most settings are put into a running stream. Steps, guidance method and size need a new one: it warms up on the camera
beside the old one, which is shown until the new one has a picture to show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor

from pipeline import geometry
from pipeline.backends.diffusion import colour
from pipeline.backends.diffusion.batch import Outcome, Pass
from pipeline.backends.diffusion.live import Conditioning, LiveStream
from pipeline.backends.diffusion.prompts import Prompts, Wish
from pipeline.backends.diffusion.timesteps import t_indices
from pipeline.backends.diffusion.travel import Travel
from pipeline.frame import Frame
from pipeline.settings import Settings

PROMPT_SETTINGS = frozenset({"prompt", "prompts", "negative_prompt"})
NEGATIVE_TYPES = frozenset({"full", "initialize"})  # guidance methods that use the negative prompt


@dataclass(frozen=True, eq=False)
class Turn:
    """One frame of a session under way: the passes it needs, and the camera picture, fitted, in case none is shown."""

    passes: Sequence[Pass]
    camera: Tensor
    target: geometry.Box  # where in the result the picture is; around it are black bars


class Session:
    """Used by one thread at a time. A frame is `begin`, its passes through the model, `finish`."""

    def __init__(self, pipe: StableDiffusionPipeline, prompts: Prompts, settings: Settings) -> None:
        self.settings = settings
        self._pipe = pipe
        self._prompts = prompts
        self._wish = Wish(prompts, settings)
        self._positive: Travel | None = None  # until the first prompt is encoded
        self._negative: Travel | None = None
        self._shown: LiveStream | None = None
        self._warming: LiveStream | None = None
        self._take_wish()

    def apply(self, settings: Settings, changed: frozenset[str]) -> None:
        """In force with the next frame; what needs a new stream, as soon as that is warm."""
        before, self.settings = self.settings, settings
        try:
            if self._positive:
                self._renew_streams()
        except Exception:
            self.settings = before
            raise
        for stream in self._streams:
            stream.set_guidance(settings.guidance)
            if "denoising_strength" in changed:
                stream.set_timesteps(t_indices(settings.denoising_strength, stream.steps))
            if "seed" in changed:
                stream.set_seed(settings.seed, settings.glide_frames)
        if changed & PROMPT_SETTINGS:
            self._wish.change(settings)

    def notes(self) -> list[str]:
        """What of the settings has no effect or is not in force, for the user."""
        settings, notes = self.settings, []
        if settings.negative_prompt and settings.cfg_type not in NEGATIVE_TYPES:
            notes.append(f"the negative prompt has no effect with guidance method {settings.cfg_type}")
        if settings.guidance > 1 and settings.cfg_type == "none":
            notes.append("guidance has no effect with guidance method none")
        texts = [prompt.text for prompt in settings.weighted_prompts] + [settings.negative_prompt]
        if any(self._prompts.is_cut(text) for text in texts):
            notes.append("a prompt is too long for the model, which reads the first 77 tokens (about 55 words)")
        if self._wish.failed:
            notes.append("the last prompt could not be encoded: keeping the one before")
        return notes

    def begin(self, frame: Frame, device: torch.device) -> Turn:
        """Take the next frame. Raises ValueError if it is not sound, and then changes nothing."""
        picture = colour.upload(frame, device)
        self._take_wish()
        self._advance()
        settings = self.settings
        if settings.denoising_strength == 0:
            for stream in self._streams:
                stream.restart()  # else its old frames would come back later
            camera, placement = self._fitted(picture, frame, (settings.width, settings.height))
            return Turn([], camera, placement.target)
        shown = self._shown
        size = shown.size if shown else (settings.width, settings.height)
        camera, placement = self._fitted(picture, frame, size)
        passes = [Pass(shown, camera, shown.warm)] if shown else []
        if warming := self._warming:
            passes.append(Pass(warming, self._fitted(picture, frame, warming.size)[0], shown=False))
        return Turn(passes, camera, placement.target)

    def finish(self, turn: Turn, outcomes: Sequence[Outcome]) -> Tensor:
        """The picture to show, (1, 3, height, width). Raises what any of the turn's passes came to grief with."""
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome
        if self._warming and self._warming.warm:
            self._shown, self._warming = self._warming, None
        painted = outcomes[0] if outcomes else None
        return colour.with_bars(painted, turn.target) if isinstance(painted, Tensor) else turn.camera

    @property
    def _streams(self) -> list[LiveStream]:
        return [stream for stream in (self._shown, self._warming) if stream]

    def _take_wish(self) -> None:
        """Turn to the newest prompts if they have been encoded; without any, to the empty one if they could not be."""
        wanted = self._wish.poll()
        if self._positive is None and self._wish.failed:
            wanted = self._prompts.empty
        if wanted is None:
            return
        if self._positive is None or self._negative is None:
            self._positive, self._negative = Travel(wanted.positive), Travel(wanted.negative)
            self._renew_streams()
        else:
            self._positive.turn_to(wanted.positive, self.settings.glide_frames)
            self._negative.turn_to(wanted.negative, self.settings.glide_frames)
            self._condition()

    def _advance(self) -> None:
        for stream in self._streams:
            stream.advance()
        if self._positive and self._negative and (self._positive.advance() | self._negative.advance()):
            self._condition()

    @property
    def _conditioning(self) -> Conditioning:
        assert self._positive
        assert self._negative
        return Conditioning(self._positive.now, self._negative.now)

    def _condition(self) -> None:
        for stream in self._streams:
            stream.set_conditioning(self._conditioning)

    def _renew_streams(self) -> None:
        """Begin a new stream if none there is of the shape that the settings ask for."""
        if self._warming and not self._fits(self._warming):
            self._warming = None
        if self._shown and self._fits(self._shown):
            self._warming = None
        elif self._warming is None:
            new = self._new_stream()
            if self._shown and self._shown.has_painted and not new.warm:
                self._warming = new
            else:
                self._shown = new

    def _fits(self, stream: LiveStream) -> bool:
        settings = self.settings
        return (stream.steps, stream.cfg_type, stream.size) == (
            settings.steps,
            settings.cfg_type,
            (settings.width, settings.height),
        )

    def _new_stream(self) -> LiveStream:
        settings = self.settings
        return LiveStream(
            self._pipe,
            t_indices(settings.denoising_strength, settings.steps),
            (settings.width, settings.height),
            settings.cfg_type,
            self._conditioning,
            settings.guidance,
            settings.seed,
        )

    def _fitted(self, picture: Tensor, frame: Frame, size: tuple[int, int]) -> tuple[Tensor, geometry.Placement]:
        placement = geometry.place((frame.width, frame.height), size, self.settings.fit)
        return colour.place(picture, placement, *size), placement
