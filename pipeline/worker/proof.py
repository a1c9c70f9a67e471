"""The proof that a back end can paint: a real frame goes through it before anybody's does. Ready means that it did."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.backend import Backend
from pipeline.errors import BackendUnavailable, DeviceLost, PipelineError
from pipeline.frame import Frame
from pipeline.settings import Settings


def prove(backend: Backend[Any]) -> None:
    """Paint a grey picture as a session with the default settings. Raises BackendUnavailable or DeviceLost."""
    settings = Settings(pipeline=backend.name)
    blank = Frame.from_rgb(np.full((settings.height, settings.width, 3), 128, np.uint8))
    try:
        [result] = backend.step([(backend.new_state(settings), blank)])
        if isinstance(result, PipelineError):
            raise result
    except DeviceLost:
        raise
    except Exception as error:  # foreign code
        said = error.message if isinstance(error, PipelineError) else f"{type(error).__name__}: {error}"
        raise BackendUnavailable(f"{backend.name} failed on its first frame: {said}") from error
