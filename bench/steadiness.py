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
    whole: float  # flicker of the clip, in levels
    still: float  # flicker while the camera stands still
    moving: float  # flicker while it moves; what a model paints in one place whatever moves there is in it
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
    flows = [sample.flow for sample in samples]
    begin = next(index for index, flow in enumerate(flows) if any(flow))
    still, moving = (flicker(pictures[part], flows[part]) for part in (slice(0, begin), slice(begin - 1, None)))
    return Steadied(flicker(pictures, flows), still, moving, sharpness(pictures), float(np.median(spent)))


def compared(backend: Backend[Any], side: int) -> str:
    """Without and with the default, in a sentence."""
    default = Settings.model_fields["steadiness"].default
    off, on = steadied(backend, 0.0, side), steadied(backend, default, side)
    parts = (
        f"{name} {before:.2f} levels to {after:.2f} ({100 * (1 - after / max(before, 1e-9)):.0f} % less)"
        for name, before, after in (
            ("flicker", off.whole, on.whole),
            ("of a still camera", off.still, on.still),
            ("of a moving one", off.moving, on.moving),
        )
    )
    return (
        f"with {default} {', '.join(parts)}; sharpness {off.sharpness:.2f} to {on.sharpness:.2f}; "
        f"CPU {off.ms:.1f} to {on.ms:.1f} ms a frame ({100 * (off.ms / on.ms - 1):+.0f} % fps)"
    )
