"""StreamDiffusion (GPU): a diffusion model repaints each frame after the prompt. Runs on a CPU too, very slowly.

Each session has a stream of its own over shared weights; the frames of all of them go through the model together.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import ClassVar

from torch import Tensor, cuda

from pipeline import catalog
from pipeline.backend import Report
from pipeline.backends.diffusion import batch as batches
from pipeline.backends.diffusion import colour
from pipeline.backends.diffusion.loader import Model, load_model
from pipeline.backends.diffusion.prompts import Prompts
from pipeline.backends.diffusion.state import Session, Turn
from pipeline.errors import ApplyFailed, BadFrame, PipelineError
from pipeline.frame import Frame
from pipeline.settings import Settings

logger = logging.getLogger(__name__)


class Diffusion:
    name: ClassVar[str] = "diffusion"
    title: ClassVar[str] = "StreamDiffusion (GPU)"
    ignores: ClassVar[frozenset[str]] = frozenset({"steadiness", "similarity_threshold"})
    rebuilds: ClassVar[frozenset[str]] = frozenset({"steps", "cfg_type", "width", "height"})
    batch_limit: ClassVar[int] = 16

    def __init__(self, model: str | None = None, threads: int | None = None, executor: Executor | None = None) -> None:
        """`model` is a key of the catalogue or a folder (None: as LIVE_DIFFUSION_MODEL says, else the catalogue's
        first); `threads` paint one frame on a CPU (None: half of the cores); `executor` encodes prompts (None: a
        thread of its own)."""
        self._wanted = os.environ.get(catalog.MODEL_VARIABLE) if model is None else model
        self._threads = threads
        self._executor = executor
        self._model: Model
        self._prompts: Prompts

    @property
    def device(self) -> str:
        device = self._model.device
        return cuda.get_device_name(device) if device.type == "cuda" else device.type

    @property
    def model(self) -> str:
        return self._model.name

    def load(self, report: Report) -> None:
        self._model = load_model(catalog.find(self._wanted), report, self._threads)
        self._prompts = Prompts(self._model.pipe.tokenizer, self._model.pipe.text_encoder, self._executor)
        self._prompts.encode(Settings().prompt)  # the first frame of most sessions need not wait for it

    def new_state(self, settings: Settings) -> Session:
        return Session(self._model.pipe, self._prompts, settings)

    def apply(self, state: Session, settings: Settings, changed: frozenset[str]) -> None:
        try:
            state.apply(settings, changed)
        except (RuntimeError, ValueError) as error:  # no memory left, say
            raise ApplyFailed(f"The settings could not be put into force: {error}", "Try a smaller size.") from error

    def notes(self, state: Session) -> list[str]:
        notes = state.notes()
        if self._model.steps and state.settings.steps < self._model.steps:
            notes.append(f"{self._model.name} is made for {self._model.steps} steps")
        return notes

    def step(self, batch: Sequence[tuple[Session, Frame]]) -> list[Frame | PipelineError]:
        turns = [self._begin(state, frame) for state, frame in batch]
        passes = [one for turn in turns if isinstance(turn, Turn) for one in turn.passes]
        outcomes = iter(batches.run(self._model, passes))
        pictures: list[Tensor | PipelineError] = []
        for (state, _), turn in zip(batch, turns, strict=True):
            if isinstance(turn, Turn):
                pictures.append(_finish(state, turn, [next(outcomes) for _ in turn.passes]))
            else:
                pictures.append(turn)
        formats = [frame.format for _, frame in batch]
        painted = [
            (picture, pixel_format)
            for picture, pixel_format in zip(pictures, formats, strict=True)
            if not isinstance(picture, PipelineError)
        ]
        frames = iter(colour.download(painted))
        return [picture if isinstance(picture, PipelineError) else next(frames) for picture in pictures]

    def close(self) -> None:
        self._prompts.close()
        del self._model

    def _begin(self, state: Session, frame: Frame) -> Turn | PipelineError:
        try:
            return state.begin(frame, self._model.device)
        except Exception as error:  # one session's picture must not cost another session its own
            return _bad(error)


def _finish(state: Session, turn: Turn, outcomes: Sequence[batches.Outcome]) -> Tensor | PipelineError:
    try:
        return state.finish(turn, outcomes)
    except Exception as error:
        return _bad(error)


def _bad(error: Exception) -> BadFrame:
    logger.error("a frame could not be painted: %s", error, exc_info=error)
    return BadFrame("This frame could not be painted.", "Go on with the next one.")
