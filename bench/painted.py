"""A picture painted as prompts say, by the neural-style pipeline in this process: what the picture makers share."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline import registry
from pipeline.errors import PipelineError
from pipeline.frame import Frame, Pixels
from pipeline.settings import Settings


def paint(square: Pixels, prompts: Iterable[str]) -> list[Pixels]:
    """`square`, height x width x 3, RGB, once for each prompt, as the first frame of a session."""
    backend = registry.make("neural-style")
    backend.load(lambda progress: None)
    try:
        painted = []
        for prompt in prompts:
            state = backend.new_state(Settings(pipeline="neural-style", prompt=prompt))
            (answer,) = backend.step([(state, Frame.from_rgb(square))])
            if isinstance(answer, PipelineError):
                raise answer
            painted.append(answer.rgb().copy())
        return painted
    finally:
        backend.close()
