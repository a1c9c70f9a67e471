"""The engine against the package's own way over the same weights: from one camera picture to one painted one."""

from __future__ import annotations

import statistics

import numpy as np
from PIL import Image

from bench import package
from bench.gpu.clock import WARM, wall_ms
from bench.gpu.rig import Figures, Rig, check
from pipeline.frame import PixelFormat


def versus(rig: Rig) -> Figures:
    """In turns, for a busy machine is busy for both. `times` is how many times as fast ours is."""
    figures: Figures = {}
    (camera, *_) = rig.cameras(PixelFormat.RGB24)
    for steps in (1, 4):
        stream = package.new_stream(rig.engine._model.pipe, steps, rig.scale.side)
        theirs = package.step(stream, Image.fromarray(np.asarray(camera.rgb())))
        batch = rig.sessions(1, steps).batch(0)
        spent: tuple[list[float], list[float]] = ([], [])
        for _ in range(WARM + steps + rig.scale.rounds):
            spent[0].append(wall_ms(theirs))
            spent[1].append(wall_ms(lambda batch=batch: check(rig.engine.step(batch))))  # type: ignore[misc]
        package_ms, ours_ms = (statistics.median(times[WARM + steps :]) for times in spent)
        figures |= {
            f"steps_{steps}_package_ms": package_ms,
            f"steps_{steps}_ours_ms": ours_ms,
            f"steps_{steps}_times": package_ms / ours_ms,
        }
    return figures
