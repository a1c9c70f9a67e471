"""What all sections share: the loaded engine, its sessions and their camera pictures, and how it is driven.

The engine is driven as the worker's painting loop does it: a session has one frame under way at a time, and a batch of
other sessions may be begun before the last one is fetched.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch

from bench.gpu.flops import Cost, cost
from pipeline.backends.diffusion import Diffusion
from pipeline.backends.diffusion.state import Session
from pipeline.errors import PipelineError
from pipeline.frame import Frame, PixelFormat
from pipeline.settings import Settings
from tests.pipeline.diffusion.tiny_model import AtOnce

Batch: TypeAlias = Sequence[tuple[Session, Frame]]
Answers: TypeAlias = Sequence[Frame | PipelineError]
Finish: TypeAlias = Callable[[], Answers]
Figures: TypeAlias = dict[str, float | None]  # by name, with the unit last; None: this machine cannot tell

CAMERA = (1280, 720)
CAMERA_PICTURES = 4  # different ones, in turns
STEADINESS: float = Settings.model_fields["steadiness"].default
GUIDANCE = 1.4  # for the guidance methods that compute one
PATCH = 40  # pixels


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    side: int  # pixels of the result, square
    rounds: int
    batches: tuple[int, ...]
    clocked_s: float  # of each run against the clock
    most_sessions: int
    product: int  # rows and columns of the matrix product that measures the device


FULL = Scale(512, 50, (1, 2, 4, 8, 12, 16), 4.0, 64, 8192)
SMALL = Scale(64, 3, (1, 2), 0.3, 2, 256)


class Rig:
    """One engine over one model, and what it is fed with. `close` frees it."""

    def __init__(self, models: dict[str, Path], scale: Scale) -> None:
        """`models` are folders by the keys sd-turbo and sd15-lcm."""
        self.models = models
        self.scale = scale
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.found: dict[str, Figures] = {}  # by section, as they are measured
        self._cameras: dict[PixelFormat, list[Frame]] = {}

    @cached_property
    def engine(self) -> Diffusion:
        """SD-Turbo's shapes, with everything at its default."""
        return self.load("sd-turbo")

    @cached_property
    def cost(self) -> Cost:
        pipe = self.engine._model.pipe
        return cost(pipe.unet, pipe.vae, self.scale.side, self.scale.side)

    def load(self, key: str, graphs: bool | None = None) -> Diffusion:
        """Another engine; who loads it closes it."""
        engine = Diffusion(str(self.models[key]), threads=1, executor=AtOnce(), graphs=graphs)
        engine.load(lambda progress: None)
        return engine

    def settings(
        self, steps: int = 1, cfg_type: str = "none", prompt: str = "oil on canvas", steadiness: float = STEADINESS
    ) -> Settings:
        wanted: dict[str, object] = {"pipeline": "diffusion", "prompt": prompt, "steps": steps, "cfg_type": cfg_type}
        wanted["steadiness"] = steadiness
        guidance = GUIDANCE if cfg_type != "none" else 1.0
        side = {"width": self.scale.side, "height": self.scale.side}  # smaller than a client may ask for, if small
        return Settings.model_validate(wanted | {"guidance": guidance}).model_copy(update=side)

    def sessions(
        self,
        count: int,
        steps: int = 1,
        cfg_type: str = "none",
        engine: Diffusion | None = None,
        steadiness: float = STEADINESS,
    ) -> Sessions:
        engine = engine or self.engine
        states = [
            engine.new_state(self.settings(steps, cfg_type, f"picture {index}", steadiness)) for index in range(count)
        ]
        return Sessions(engine, states, self.cameras(PixelFormat.I420))

    def cameras(self, pixel_format: PixelFormat) -> list[Frame]:
        if pixel_format not in self._cameras:
            chance = np.random.default_rng(0)
            patches = chance.integers(0, 256, (CAMERA_PICTURES, CAMERA[1] // PATCH, CAMERA[0] // PATCH, 3), np.uint8)
            pictures = patches.repeat(PATCH, 1).repeat(PATCH, 2)
            self._cameras[pixel_format] = [Frame.from_rgb(picture).convert(pixel_format) for picture in pictures]
        return self._cameras[pixel_format]

    def close(self) -> None:
        if "engine" in vars(self):
            self.engine.close()


class Sessions:
    """Sessions of one engine with their cameras."""

    def __init__(self, engine: Diffusion, states: Sequence[Session], cameras: Sequence[Frame]) -> None:
        self.engine = engine
        self.states = states
        self._cameras = cameras

    def batch(self, index: int, chosen: Iterable[int] | None = None) -> Batch:
        """The pictures number `index` of the sessions `chosen`; of all without it."""
        numbers = range(len(self.states)) if chosen is None else chosen
        return [(self.states[number], self._cameras[(index + number) % len(self._cameras)]) for number in numbers]

    def seconds(self, rounds: int) -> float:
        """How long `rounds` frames of all sessions take, after a few that do not count."""
        drive(self.engine, (self.batch(index) for index in range(8)))
        started = time.perf_counter()
        drive(self.engine, (self.batch(index) for index in range(rounds)))
        return time.perf_counter() - started


def drive(engine: Diffusion, batches: Iterable[Batch]) -> None:
    """One batch after the other, as a session has one frame under way at a time. Raises what a frame failed with."""
    for batch in batches:
        check(engine.step(batch))


def check(answers: Answers) -> None:
    """Raises the first error there is: what fails is not to count as fast."""
    for answer in answers:
        if isinstance(answer, PipelineError):
            raise answer
