"""What the worker keeps of one session. No decisions here; the painting thread owns it, see `loop.py`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pipeline.backend import Backend
from pipeline.errors import PipelineError
from pipeline.settings import Settings
from pipeline.worker.memory import FrameMemory
from pipeline.worker.messages import Apply, FromWorker, Open, Submit


@dataclass(eq=False)
class PaintSession:
    """`answer` may be called from any thread."""

    memory: FrameMemory
    answer: Callable[[FromWorker], None]
    backend: Backend[Any] | None = None
    state: Any = None
    settings: Settings | None = None
    version: int = 0
    waiting: Submit | None = None
    parked: Apply | Open | None = None  # settings that wait for their pipeline to be loaded
    refused: tuple[Apply | Open, PipelineError] | None = None  # settings that a back end cannot paint with, and why
    turn: int = 0  # rises with each frame painted, of whichever session: when it was last served
    operations: deque[Apply | Open] = field(default_factory=deque)
    gone: bool = False  # it has left, and has taken its memory along
    fresh: bool = True  # nothing was painted yet since its state was made or is being rebuilt
    failing: bool = False  # its last frame failed
    alone: int = 0  # so many frames are to be painted with nobody else's: it is suspected of what ended a worker
