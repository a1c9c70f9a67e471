"""A whole Stable Diffusion of 300 KB with random weights, made here: the parts are real, the pictures are not.

Diffusion libraries are imported when it is built, so that this file can be imported without them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from torch import nn

P = ParamSpec("P")
T = TypeVar("T")

WIDTH = 16  # of the embeddings
TOKENS = 77


def build(folder: Path, vae: str = "tiny") -> Path:
    """Write the model to `folder`, always with the same weights. `vae` is tiny or full."""
    import torch
    from diffusers import (
        AutoencoderKL,
        AutoencoderTiny,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextConfig, CLIPTextModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        unet = UNet2DConditionModel(
            sample_size=64,
            block_out_channels=(8, 16),
            layers_per_block=1,
            norm_num_groups=4,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),  # attention on the lower level only: it is slow
            mid_block_type=None,
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=WIDTH,
            attention_head_dim=2,
        )
        levels = (4, 4, 4, 4)
        tiny_vae = AutoencoderTiny(
            encoder_block_out_channels=levels,
            decoder_block_out_channels=levels,
            num_encoder_blocks=(1, 1, 1, 1),
            num_decoder_blocks=(1, 1, 1, 1),
        )
        with torch.no_grad():  # most of what random weights paint would be darker than black
            tiny_vae.decoder.layers[-1].weight.mul_(3)
            tiny_vae.decoder.layers[-1].bias.fill_(0.5)
            for name, weight in unet.named_parameters():
                if "attn2.to_v" in name or "attn2.to_out" in name:
                    weight.mul_(5)  # else a prompt would hardly show
        full_vae = AutoencoderKL(
            block_out_channels=levels,
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            latent_channels=4,
            norm_num_groups=2,
        )
        vocabulary = _vocabulary()
        text_config = CLIPTextConfig(
            vocab_size=len(vocabulary),
            hidden_size=WIDTH,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=TOKENS,
            bos_token_id=vocabulary["<|startoftext|>"],
            eos_token_id=vocabulary["<|endoftext|>"],
        )
        text_encoder = CLIPTextModel(text_config)
    return assemble(folder, unet, full_vae if vae == "full" else tiny_vae, text_encoder)


def assemble(folder: Path, unet: nn.Module, vae: nn.Module, text_encoder: nn.Module) -> Path:
    """Write a whole pipeline of these parts to `folder`, with SD-Turbo's scheduler and a tokenizer of single bytes."""
    from diffusers import EulerDiscreteScheduler, StableDiffusionPipeline
    from transformers import CLIPTokenizer

    vocabulary = _vocabulary()
    tokenizer = _write_tokenizer(folder / "tokenizer", vocabulary)
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        timestep_spacing="trailing",
        steps_offset=1,
        prediction_type="epsilon",
    )
    StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=CLIPTokenizer.from_pretrained(tokenizer),
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    _write_tokenizer(folder / "tokenizer", vocabulary)  # transformers 5 leaves out the files that 4 reads
    return folder


def _vocabulary() -> dict[str, int]:
    """Each byte by its printable stand-in, inside a word and at its end, as in every byte-level tokenizer."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    symbols = [chr(byte) for byte in printable] + [chr(256 + index) for index in range(len(others))]
    words = [*symbols, *(f"{symbol}</w>" for symbol in symbols), "<|startoftext|>", "<|endoftext|>"]
    return {word: index for index, word in enumerate(words)}


def _write_tokenizer(folder: Path, vocabulary: dict[str, int]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    if not (config := folder / "tokenizer_config.json").exists():
        config.write_text(json.dumps({"tokenizer_class": "CLIPTokenizer", "model_max_length": TOKENS}))
    return folder


class AtOnce(Executor):
    """Does the work in the calling thread, before `submit` returns: prompts are encoded when they are set."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future
