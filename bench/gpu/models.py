"""Stable Diffusion in its true shapes with random weights: costs what the real one costs, and needs no network.

Weights are made on the device itself in a moment, and scaled so that half precision holds every value on the way.
What comes out is a folder for the engine's own loader, so that what is measured is what runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import torch
from diffusers import AutoencoderTiny, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from tests.pipeline.diffusion import tiny_model

SEED = 7
VOCABULARY = 49408  # words of the real text encoders; the tokenizer here uses the first few hundred
PATCHES = 8  # of colour along a side of the picture that the VAE is scaled with
SPREAD = 0.1  # standard deviation of what random latents become, of 0 to 1; those of a frame are larger


@dataclass(frozen=True)
class Architecture:
    """A model's networks beside TAESD, as in the configurations that it is published with."""

    unet: dict[str, object]
    text: dict[str, object]


SD_TURBO = Architecture(
    {"cross_attention_dim": 1024, "attention_head_dim": (5, 10, 20, 20), "use_linear_projection": True},
    {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 23,
        "num_attention_heads": 16,
        "hidden_act": "gelu",
    },
)
SD15 = Architecture(
    {"cross_attention_dim": 768, "attention_head_dim": 8},
    {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12},
)


@dataclass(frozen=True, eq=False)
class Networks:
    unet: UNet2DConditionModel
    vae: AutoencoderTiny
    text_encoder: CLIPTextModel


def shapes(architecture: Architecture) -> Networks:
    """The networks without weights, on torch's meta device: to count with."""
    with torch.device("meta"):
        return Networks(
            UNet2DConditionModel(sample_size=64, **architecture.unet),
            AutoencoderTiny(),
            CLIPTextModel(CLIPTextConfig(vocab_size=VOCABULARY, **architecture.text)),
        )


@torch.no_grad()
def filled(architecture: Architecture, device: torch.device, dtype: torch.dtype) -> Networks:
    """The networks with random weights, always the same ones on the same kind of device."""
    networks = shapes(architecture)
    generator = torch.Generator(device).manual_seed(SEED)
    for network in (networks.unet, networks.vae, networks.text_encoder):
        network.to(dtype).to_empty(device=device)
        fill(network, generator)
    scale(networks.vae, generator)
    return networks


def write(architecture: Architecture, folder: Path, device: torch.device) -> Path:
    """A model in `folder`, in half precision; `device` makes the weights."""
    networks = filled(architecture, device, torch.float16)
    return tiny_model.assemble(folder, networks.unet, networks.vae, networks.text_encoder)


def parameters(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


@torch.no_grad()
def fill(network: nn.Module, generator: torch.Generator) -> None:
    """Weights that keep a signal's size from layer to layer; normalisations that change nothing.

    Raises LookupError for a network that keeps more than weights.
    """
    for name, weight in network.named_parameters():
        if weight.ndim > 1:
            weight.normal_(0, 1 / sqrt(weight[0].numel()), generator=generator)
        else:
            weight.fill_(1.0 if name.endswith("weight") else 0.0)
    for name, values in network.named_buffers():
        if not name.endswith("position_ids"):
            raise LookupError(f"it is not known what belongs into {name}")
        values.copy_(torch.arange(values.numel()).view_as(values))


@torch.no_grad()
def scale(vae: AutoencoderTiny, generator: torch.Generator) -> None:
    """Latents like a trained encoder's, and pictures that are neither grey nor cut off at black and white."""
    options = {"generator": generator, "device": vae.device, "dtype": vae.dtype}
    latents = torch.randn((1, 4, PATCHES, PATCHES), **options)
    patches = torch.rand((1, 3, PATCHES, PATCHES), **options)
    _scale(vae.encoder.layers, patches.repeat_interleave(PATCHES, 2).repeat_interleave(PATCHES, 3), 0.0, 1.0)
    _scale(vae.decoder.layers, latents, 0.5, SPREAD)


def _scale(layers: nn.Sequential, sample: Tensor, centre: float, spread: float) -> None:
    """Change the last of `layers` so that each channel of what they make of `sample` has this mean and deviation."""
    made = layers(sample).float()
    factor = spread / made.std((0, 2, 3))
    last = layers[-1]
    assert isinstance(last, nn.Conv2d)
    last.weight.mul_(factor.view(-1, 1, 1, 1).to(last.weight.dtype))
    last.bias = nn.Parameter((centre - made.mean((0, 2, 3)) * factor).to(last.weight.dtype))
