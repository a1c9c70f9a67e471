"""What the model and each session take of the device's memory."""

from __future__ import annotations

import gc

import torch

from bench.gpu.models import parameters
from bench.gpu.rig import Figures, Rig

SESSIONS = 16
MB = 1e6


def memory(rig: Rig) -> Figures:
    """`reserved` is what other programs see as taken. A CPU does not tell."""
    pipe = rig.engine._model.pipe
    networks = (pipe.unet, pipe.vae, pipe.text_encoder)
    weights = sum(parameters(network) * network.dtype.itemsize for network in networks) / MB
    if rig.device.type != "cuda":
        return {"weights_mb": weights, "allocated_mb": None, "peak_mb": None, "reserved_mb": None, "session_mb": None}
    rig.sessions(SESSIONS).seconds(3)  # what is kept for calls of this size is no session's
    before = _allocated()
    sessions = rig.sessions(SESSIONS)
    sessions.seconds(3)
    after = _allocated()
    return {
        "weights_mb": weights,
        "allocated_mb": after,
        "peak_mb": torch.cuda.max_memory_allocated() / MB,
        "reserved_mb": torch.cuda.memory_reserved() / MB,
        "session_mb": (after - before) / SESSIONS,
    }


def _allocated() -> float:
    gc.collect()
    torch.cuda.synchronize()
    return torch.cuda.memory_allocated() / MB
