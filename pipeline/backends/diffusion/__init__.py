"""StreamDiffusion (GPU): a diffusion model repaints each frame after the prompt. Runs on a CPU too, very slowly.

Each session has a stream of its own over shared weights; the frames of all of them go through the model together. A
batch is begun by `start` and waited for by what that answers, so that the next can be begun in between.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import ClassVar

from pipeline import catalog
from pipeline.backend import Progress, Report
from pipeline.backends.diffusion.device import Device, best_device
from pipeline.backends.diffusion.loader import Model, load_model
from pipeline.backends.diffusion.networks import Networks
from pipeline.backends.diffusion.prompts import Prompts
from pipeline.backends.diffusion.rounds import Answer, Rounds
from pipeline.backends.diffusion.state import Session
from pipeline.errors import ApplyFailed
from pipeline.frame import Frame
from pipeline.settings import Settings


class Diffusion:
    name: ClassVar[str] = "diffusion"
    title: ClassVar[str] = "StreamDiffusion (GPU)"
    ignores: ClassVar[frozenset[str]] = frozenset()
    rebuilds: ClassVar[frozenset[str]] = frozenset({"steps", "cfg_type", "width", "height"})
    batch_limit: ClassVar[int] = 16

    def __init__(
        self,
        model: str | None = None,
        threads: int | None = None,
        executor: Executor | None = None,
        graphs: bool | None = None,
    ) -> None:
        """`model` is a key of the catalogue or a folder (None: as LIVE_DIFFUSION_MODEL says, else the catalogue's
        first); `threads` paint one frame on a CPU (None: half of the cores); `executor` encodes prompts (None: a
        thread of its own); `graphs`: see `best_device`."""
        self._wanted = os.environ.get(catalog.MODEL_VARIABLE) if model is None else model
        self._threads = threads
        self._executor = executor
        self._graphs = graphs
        self._model: Model
        self._compute: Device
        self._prompts: Prompts
        self._rounds: Rounds

    @property
    def device(self) -> str:
        return self._compute.name

    @property
    def works_aside(self) -> bool:
        return self._compute.staged

    @property
    def model(self) -> str:
        return self._model.name

    def load(self, report: Report) -> None:
        self._model = load_model(catalog.find(self._wanted), report, self._threads)
        self._compute = best_device(self._graphs)
        networks = Networks(self._model, self._compute)
        self._rounds = Rounds(networks)
        pipe = self._model.pipe
        self._prompts = Prompts(pipe.tokenizer, pipe.text_encoder, self._compute, self._executor)
        embeds = self._prompts.encode(Settings().prompt)  # the first frame of most sessions need not wait for it
        if self._compute.torch_device.type == "cuda":
            report(Progress("warm-up"))
            with self._compute.lane("compute"):
                networks.warm_up(Settings().width, Settings().height, embeds)

    def new_state(self, settings: Settings) -> Session:
        with self._compute.lane("compute"):
            return Session(self._model.pipe, self._prompts, settings)

    def apply(self, state: Session, settings: Settings, changed: frozenset[str]) -> None:
        try:
            with self._compute.lane("compute"):
                state.apply(settings, changed)
        except (RuntimeError, ValueError) as error:  # no memory left, say
            raise ApplyFailed(f"The settings could not be put into force: {error}", "Try a smaller size.") from error

    def notes(self, state: Session) -> list[str]:
        notes = state.notes()
        if self._model.steps and state.settings.steps < self._model.steps:
            notes.append(f"{self._model.name} is made for {self._model.steps} steps")
        return notes

    def step(self, batch: Sequence[tuple[Session, Frame]]) -> list[Answer]:
        return self.start(batch)()

    def start(self, batch: Sequence[tuple[Session, Frame]]) -> Callable[[], list[Answer]]:
        """See `Rounds.start`."""
        return self._rounds.start(batch)

    def close(self) -> None:
        self._prompts.close()
        del self._model, self._rounds
