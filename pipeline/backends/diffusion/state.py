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
from pipeline.backends.diffusion.batch import Outcome, Painted, Pass
from pipeline.backends.diffusion.live import Conditioning, LiveStream
from pipeline.backends.diffusion.prompts import Prompts, Wish
from pipeline.backends.diffusion.timesteps import t_indices
from pipeline.backends.diffusion.transfer import Fit, Shown
from pipeline.backends.diffusion.travel import Travel
from pipeline.frame import Frame, PixelFormat
from pipeline.policy.similarity import Similarity
from pipeline.settings import Settings

PROMPT_SETTINGS = frozenset({"prompt", "prompts", "negative_prompt"})
GUIDANCE_SETTINGS = frozenset({"guidance", "delta"})
NEGATIVE_TYPES = frozenset({"full", "initialize"})  # guidance methods that use the negative prompt
DELTA_TYPES = frozenset({"self", "initialize"})  # those that use delta


@dataclass(frozen=True, eq=False)
class Turn:
    """One frame of a session under way: the streams it goes through, with the picture that each needs. The first
    picture is the camera's, fitted, in case nothing painted can be shown. `answer`: nothing is to be painted."""

    fits: Sequence[Fit]
    streams: Sequence[tuple[LiveStream, bool]]  # whether what comes out is shown
    answer: Frame | None = None

    def passes(self, pictures: Sequence[Tensor]) -> list[Pass]:
        """With a picture for each of `fits`."""
        return [Pass(stream, picture, shown) for (stream, shown), picture in zip(self.streams, pictures, strict=False)]


class Session:
    """Used by one thread at a time. A frame is `begin`, its passes through the model, `finish`, and then `answered`
    or `failed`."""

    def __init__(self, pipe: StableDiffusionPipeline, prompts: Prompts, settings: Settings) -> None:
        self.settings = settings
        self._pipe = pipe
        self._prompts = prompts
        self._wish = Wish(prompts, settings)
        self._positive: Travel | None = None  # until the first prompt is encoded
        self._negative: Travel | None = None
        self._shown: LiveStream | None = None
        self._warming: LiveStream | None = None
        self._similarity = Similarity()
        self._answer: Frame | None = None
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
        self._similarity.forget()
        for stream in self._streams:
            if changed & GUIDANCE_SETTINGS:
                stream.set_guidance(settings.guidance, settings.delta)
            if "steadiness" in changed:
                stream.set_steadiness(settings.steadiness)
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
        if settings.delta != 1 and settings.cfg_type not in DELTA_TYPES:
            notes.append(f"delta has no effect with guidance method {settings.cfg_type}")
        texts = [prompt.text for prompt in settings.weighted_prompts] + [settings.negative_prompt]
        if any(self._prompts.is_cut(text) for text in texts):
            notes.append("a prompt is too long for the model, which reads the first 77 tokens (about 55 words)")
        if self._wish.failed:
            notes.append("the last prompt could not be encoded: keeping the one before")
        return notes

    def begin(self, frame: Frame) -> Turn:
        """Take the next frame. Raises ValueError if it is not sound, and then changes nothing."""
        frame = Frame(frame.data, frame.width, frame.height, frame.format)  # which checks its length
        self._take_wish()
        self._advance()
        settings, shown, warming = self.settings, self._shown, self._warming
        if settings.denoising_strength == 0:
            for stream in self._streams:
                stream.restart()  # else its old frames would come back later
            return Turn([self._fit(frame, (settings.width, settings.height))], [])
        luma = frame.planes[0] if frame.format is PixelFormat.I420 else frame.rgb()
        if self._similarity.skips(luma, settings.similarity_threshold) and self._stands_still:
            return Turn([], [], self._answer)
        if shown is None:
            return Turn([self._fit(frame, (settings.width, settings.height))], [])
        streams = [(shown, shown.warm)] + ([(warming, False)] if warming else [])
        return Turn([self._fit(frame, stream.size) for stream, _ in streams], streams)

    def finish(self, turn: Turn, camera: Tensor, outcomes: Sequence[Outcome], pixel_format: PixelFormat) -> Shown:
        """What to show: the picture that was painted, or the `camera` picture. Raises what any of the turn's passes
        came to grief with."""
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome
        if self._warming and self._warming.warm:
            self._shown, self._warming = self._warming, None
        target = turn.fits[0].placement.target
        painted = outcomes[0] if outcomes else None
        if isinstance(painted, Painted):
            return Shown(painted.picture, target, pixel_format, painted.finite)
        return Shown(camera, target, pixel_format, torch.ones((), dtype=torch.bool, device=camera.device))

    def answered(self, frame: Frame) -> None:
        """The turn's picture has come."""
        self._answer = frame
        self._similarity.painted()

    def failed(self, spoilt: bool) -> None:
        """It has not. `spoilt`: its values were no numbers, and in the latents they would stay."""
        self._similarity.forget()
        for stream in self._streams if spoilt else ():
            stream.restart()

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
    def _stands_still(self) -> bool:
        """The last answer is what the settings in force lead to."""
        return bool(self._answer and self._shown and self._shown.settled and not self._warming)

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
        stream = LiveStream(
            self._pipe,
            t_indices(settings.denoising_strength, settings.steps),
            (settings.width, settings.height),
            settings.cfg_type,
            self._conditioning,
            settings.guidance,
            settings.seed,
            settings.delta,
        )
        stream.set_steadiness(settings.steadiness)
        return stream

    def _fit(self, frame: Frame, size: tuple[int, int]) -> Fit:
        return Fit(frame, geometry.place((frame.width, frame.height), size, self.settings.fit), size)
