"""How many floating point operations a frame takes, and how many a GPU can do. 2 for each multiply-add.

Counted on networks without weights, so it takes no memory and is the same on any machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from diffusers import AutoencoderTiny, UNet2DConditionModel
from torch.utils.flop_counter import FlopCounterMode

TOKENS = 77
# Dense half precision with float32 sums, in FLOP/s, by a part of the name that CUDA gives: the H100's as measured with
# a large product, the H200's as it has the same cores, the others' by specification.
LIMITS = {"H100": 790e12, "H200": 790e12, "A100": 312e12, "RTX 4090": 165e12, "RTX 3090": 71e12}


@dataclass(frozen=True)
class Cost:
    """FLOPs of one row of a UNet call, of one encode, of one decode."""

    unet: int
    encode: int
    decode: int

    def frame(self, rows: int) -> int:
        return self.encode + rows * self.unet + self.decode


def cost(unet: UNet2DConditionModel, vae: AutoencoderTiny, width: int, height: int) -> Cost:
    """Of a picture of this size through networks like these, whose weights are not touched."""
    with torch.device("meta"):
        unet, vae = (type(network).from_config(network.config) for network in (unet, vae))
        latents = torch.empty((1, 4, height // 8, width // 8))
        pictures = torch.empty((1, 3, height, width))
        embeds = torch.empty((1, TOKENS, unet.config.cross_attention_dim))
        return Cost(
            _count(lambda: unet(latents, torch.ones(1), encoder_hidden_states=embeds)),
            _count(lambda: vae.encode(pictures)),
            _count(lambda: vae.decode(latents)),
        )


def limit(device_name: str) -> float | None:
    """The most that the GPU of this name can do, in FLOP/s; None if it is not in the table."""
    return next((most for name, most in LIMITS.items() if name in device_name), None)


def _count(compute: Callable[[], object]) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        compute()
    return int(counter.get_total_flops())
