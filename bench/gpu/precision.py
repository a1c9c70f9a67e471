"""What half precision costs: pictures of the same weights, seed and camera, against those of float32."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import torch

from bench.gpu.rig import Figures, Rig, Sessions
from pipeline.frame import Frame, PixelFormat

FRAMES = 6
STEPS = (1, 4)


def precision(rig: Rig) -> Figures:
    """Differences in levels, 0 to 255, of the pictures of one and of four steps."""
    figures: Figures = {}
    exact = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False  # else float32 has ten bits too
    try:
        half, single = (painted(rig, dtype) for dtype in (torch.float16, torch.float32))
    finally:
        torch.backends.cudnn.allow_tf32 = exact
    for steps in STEPS:
        difference = np.abs(half[steps] - single[steps])
        figures[f"steps_{steps}_mean_levels"] = float(difference.mean())
        figures[f"steps_{steps}_max_levels"] = float(difference.max())
    return figures


def painted(rig: Rig, dtype: torch.dtype) -> dict[int, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    """By the number of steps: the last pictures of a session whose networks all work in `dtype`."""
    with closing(rig.load("sd-turbo", graphs=False)) as engine:
        pipe = engine._model.pipe
        for network in (pipe.unet, pipe.vae, pipe.text_encoder):
            network.to(dtype)
        engine._compute.dtype = dtype
        pictures = {}
        for steps in STEPS:
            settings = rig.settings(steps).model_copy(update={"steadiness": 0.0})  # which would even out what differs
            session = Sessions(engine, [engine.new_state(settings)], rig.cameras(PixelFormat.RGB24))
            answers = [engine.step(session.batch(index))[0] for index in range(steps - 1 + FRAMES)]
            shown = [answer.rgb() for answer in answers[steps - 1 :] if isinstance(answer, Frame)]
            assert len(shown) == FRAMES, answers
            pictures[steps] = np.stack(shown).astype(np.float32)
        return pictures
