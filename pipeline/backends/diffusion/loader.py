"""Loads a Stable Diffusion model: which files, which VAE, on what device, in what precision.

Only safetensors files are read, for a pickle runs code, and a folder with Python code is refused.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, StableDiffusionPipeline
from diffusers.utils.logging import disable_progress_bar
from huggingface_hub import snapshot_download

from pipeline.backend import Progress, Report
from pipeline.catalog import ModelSpec, Source
from pipeline.errors import BackendUnavailable

logger = logging.getLogger(__name__)

PICKLES = frozenset({".bin", ".ckpt", ".pt", ".pth", ".pkl", ".pickle"})
LORA_FILE = "pytorch_lora_weights.safetensors"
TINY_VAE_FOLDER = "taesd"  # in a model's folder: a tiny VAE to use in place of its own
NEVER_FETCHED = ("safety_checker/*", "*.non_ema*")  # gigabytes that nothing here reads
STAGES = 4


@dataclass(frozen=True, eq=False)
class Model:
    """The weights, shared by all sessions and changed by none of them."""

    name: str
    pipe: StableDiffusionPipeline
    steps: int | None = None  # that the model is made for, if it is known


def load_model(wanted: ModelSpec | Path, report: Report, threads: int | None = None) -> Model:
    """A model of the catalogue, fetched if it is not here yet, or one of a local folder in diffusers' layout.

    `threads` are for one frame on a CPU; None: half of the cores, for the video codecs need the others. Raises
    BackendUnavailable.
    """
    disable_progress_bar()  # the log is no terminal
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        torch.set_num_threads(threads or max(1, (os.cpu_count() or 2) // 2))
    try:
        return _load(wanted, device, report)
    except BackendUnavailable:
        raise
    except (OSError, ValueError, KeyError) as error:  # files that are not there, or are not what they should be
        name = wanted.key if isinstance(wanted, ModelSpec) else wanted
        raise BackendUnavailable(
            f"The model {name} could not be loaded: {error}", "Check its files, or the connection to the model hub."
        ) from error


def _load(wanted: ModelSpec | Path, device: torch.device, report: Report) -> Model:
    # bfloat16 is 58 times slower than float32 on a CPU without instructions for it.
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    spec = wanted if isinstance(wanted, ModelSpec) else None
    if spec:
        logger.info("%s (%s): %s", spec.title, spec.licence, spec.notice)
    report(Progress("files", 0, STAGES, "steps"))
    folder = _fetch(wanted.base, device) if isinstance(wanted, ModelSpec) else wanted
    check_folder(folder)
    report(Progress("weights", 1, STAGES, "steps"))
    variant = spec.base.half_variant if spec and device.type == "cuda" else None
    pipe = StableDiffusionPipeline.from_pretrained(
        folder,
        variant=variant,
        use_safetensors=True,
        local_files_only=True,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    if spec and spec.lora:
        report(Progress("LoRA", 2, STAGES, "steps"))
        fuse_lora(pipe, _fetch(spec.lora, device))
    report(Progress("VAE", 3, STAGES, "steps"))
    if spec or (folder / TINY_VAE_FOLDER).is_dir():
        tiny = _fetch(spec.vae, device) if spec else folder / TINY_VAE_FOLDER
        check_folder(tiny)
        pipe.vae = AutoencoderTiny.from_pretrained(tiny, use_safetensors=True)
    if isinstance(pipe.vae, AutoencoderKL):
        logger.warning("%s has a full VAE, which costs four times its UNet; a tiny one is much faster", folder)
        pipe.vae.enable_slicing()
    # Attention is torch's own fused one (SDPA): diffusers' default, as fast as xformers.
    for part in (pipe.unet, pipe.vae, pipe.text_encoder):
        part.requires_grad_(False).eval().to(device, dtype)
    if device.type == "cuda":
        pipe.unet.to(memory_format=torch.channels_last)
        pipe.vae.to(memory_format=torch.channels_last)
    report(Progress("VAE", STAGES, STAGES, "steps"))
    return Model(spec.key if spec else folder.name, pipe, spec.steps if spec else None)


def fuse_lora(pipe: StableDiffusionPipeline, folder: Path) -> None:
    """Add the LoRA in `folder` to the weights of `pipe`, for good. Raises OSError if it has no safetensors file."""
    if not (folder / LORA_FILE).is_file():
        raise OSError(f"{folder} has no {LORA_FILE}")
    pipe.load_lora_weights(folder, weight_name=LORA_FILE, use_safetensors=True)
    pipe.fuse_lora()
    pipe.unload_lora_weights()


def check_folder(folder: Path) -> None:
    """Raises BackendUnavailable for a folder that is not there, that has code, or weights as pickles only."""
    if not folder.is_dir():
        raise BackendUnavailable(
            f"There is no model folder {folder}.", "Name one in diffusers' layout, or a model of the catalogue."
        )
    files = [path for path in folder.rglob("*") if path.is_file()]
    if code := [path.name for path in files if path.suffix == ".py"]:
        raise BackendUnavailable(f"{folder} has program code, {code[0]}, which is not run.", "Use a plain model.")
    safe = {path.parent for path in files if path.suffix == ".safetensors"}
    for path in files:
        if path.suffix in PICKLES and path.parent not in safe:
            raise BackendUnavailable(
                f"{path} is a pickle, which could run any code, and there is no safetensors file beside it.",
                "Convert the model to safetensors.",
            )


def _fetch(source: Source, device: torch.device) -> Path:
    """The folder of `source` in the hub's cache; only what is not there yet is fetched."""
    half = source.half_variant if device.type == "cuda" else None
    ending = f".{half}.safetensors" if half else ".safetensors"
    # Single files at the top of a repository are the same weights in another layout.
    weights = [f"*/*{ending}"] if source.layout == "pipeline" else [f"*{ending}"]
    others = [*NEVER_FETCHED, *([f"*.{source.half_variant}.safetensors"] if source.half_variant and not half else [])]
    patterns = ["*.json", "*.txt", *weights]
    try:
        return Path(
            snapshot_download(source.repo, revision=source.revision, allow_patterns=patterns, ignore_patterns=others)
        )
    except Exception as error:  # the hub's client raises errors of several HTTP libraries
        raise BackendUnavailable(
            f"{source.repo} could not be fetched from the model hub: {type(error).__name__}.",
            "Check the connection, or name a local folder as the model.",
        ) from error
