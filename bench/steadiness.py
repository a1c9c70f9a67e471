"""What the setting `steadiness` of a pipeline does and costs, on the clip with the known motion."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.clip import clip, flicker, sharpness
from pipeline.backend import Backend
from pipeline.offline import paint
from pipeline.settings import Settings


@dataclass(frozen=True)
class Steadied:
    flicker: float  # levels
    sharpness: float  # levels a pixel
    ms: float  # of the painting thread for a frame, median


def steadied(backend: Backend[Any], steadiness: float, side: int) -> Steadied:
    """The clip as one session of `backend` paints it."""
    samples = clip(side)
    wanted = {"pipeline": backend.name, "steadiness": steadiness, "width": side, "height": side}
    pictures, spent = [], []
    painted = paint(backend, (sample.frame for sample in samples), Settings.model_validate(wanted))
    for _ in samples:
        started = time.thread_time()
        pictures.append(next(painted).rgb())
        spent.append(1000 * (time.thread_time() - started))
    return Steadied(
        flicker(pictures, [sample.flow for sample in samples]), sharpness(pictures), float(np.median(spent))
    )


def compared(backend: Backend[Any], side: int) -> str:
    """Without and with the default, in a sentence."""
    default = Settings.model_fields["steadiness"].default
    off, on = steadied(backend, 0.0, side), steadied(backend, default, side)
    return (
        f"flicker {off.flicker:.2f} levels without, {on.flicker:.2f} with {default} "
        f"({100 * (1 - on.flicker / off.flicker):.0f} % less); sharpness {off.sharpness:.2f} and {on.sharpness:.2f}; "
        f"CPU {off.ms:.1f} and {on.ms:.1f} ms a frame ({100 * (off.ms / on.ms - 1):+.0f} % fps)"
    )
