"""How much of what the device can do is used: FLOPs of a frame over its time, of the limit in the table and of the
one that a large matrix product reaches in this run."""

from __future__ import annotations

import torch

from bench.gpu.clock import median_ms
from bench.gpu.flops import limit
from bench.gpu.rates import WAYS, name
from bench.gpu.rig import Figures, Rig


def share(rig: Rig) -> Figures:
    """Needs the figures of the stages, the steps and the batches."""
    measured = product(rig)
    stated = limit(torch.cuda.get_device_name()) if rig.device.type == "cuda" else None
    cost = rig.cost
    figures: Figures = {
        "measured_limit_tflops": measured / 1e12,
        "stated_limit_tflops": stated and stated / 1e12,
        "unet_gflop": cost.unet / 1e9,
        "encode_gflop": cost.encode / 1e9,
        "decode_gflop": cost.decode / 1e9,
    }
    work: dict[str, float] = {}  # FLOP/s
    for part, flops in (("encode", cost.encode), ("unet", cost.unet), ("decode", cost.decode)):
        work[part] = flops / (_found(rig, "stages", f"{part}_ms") / 1000)
    for count, cfg_type in WAYS:
        rows = count * (2 if cfg_type == "full" else 1)
        work[name(count, cfg_type)] = cost.frame(rows) * _found(rig, "steps", f"{name(count, cfg_type)}_fps")
    for count in rig.scale.batches:
        work[f"batch_{count}"] = cost.frame(1) * _found(rig, "batches", f"batch_{count}_fps")
    for what, rate in work.items():
        figures[f"{what}_of_measured_percent"] = 100 * rate / measured
        figures[f"{what}_of_stated_percent"] = stated and 100 * rate / stated
    return figures


def product(rig: Rig) -> float:
    """FLOP/s of a large matrix product in the model's precision."""
    size, dtype = rig.scale.product, rig.engine._model.pipe.unet.dtype
    one, other = (torch.randn((size, size), device=rig.device, dtype=dtype) for _ in range(2))
    return 2 * size**3 / (median_ms(rig.device, lambda: one @ other, rig.scale.rounds) / 1000)


def _found(rig: Rig, section: str, figure: str) -> float:
    value = rig.found[section][figure]
    assert value is not None
    return value
