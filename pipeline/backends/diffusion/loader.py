"""Loads a Stable Diffusion model: which files, which VAE, on what device, in what precision.

Only safetensors files are read, for a pickle runs code, and a folder that has or names Python code is refused. `hub`
brings what is not here. Called by the back end, in a thread that may take its time.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, StableDiffusionPipeline
from diffusers.utils.logging import disable_progress_bar

from pipeline import catalog
from pipeline.backend import Progress, Report
from pipeline.backends.diffusion.device import precision
from pipeline.catalog import ModelSpec
from pipeline.errors import BackendUnavailable
from pipeline.hub import fetch
from pipeline.model_files import HALF, LORA_FILE, VAE_WEIGHTS, WEIGHTS, wanted_of

logger = logging.getLogger(__name__)

PICKLES = frozenset({".bin", ".ckpt", ".pt", ".pth", ".pkl", ".pickle"})
TINY_VAE_FOLDER = "taesd"  # in a model's folder: a tiny VAE to use in place of its own
LIBRARIES = frozenset({"diffusers", "transformers", "stable_diffusion"})  # the last is a part of diffusers
INDEX = "model_index.json"


@dataclass(frozen=True, eq=False)
class Model:
    """The weights, shared by all sessions and changed by none of them."""

    name: str
    pipe: StableDiffusionPipeline
    steps: int | None = None  # that the model is made for, if it is known


@dataclass(frozen=True)
class Choices:
    """What an operator chooses besides the model."""

    vae: str = "tiny"
    attention: str = "sdpa"

    @classmethod
    def of_environment(cls) -> Choices:
        """Raises BackendUnavailable for an unknown word."""
        return cls(
            _one_of(("tiny", "full"), catalog.VAE_VARIABLE),
            _one_of(("sdpa", "xformers"), catalog.ATTENTION_VARIABLE),
        )


def _one_of(words: tuple[str, ...], variable: str) -> str:
    word = os.environ.get(variable) or words[0]
    if word not in words:
        raise BackendUnavailable(f"{variable} is {word!r}.", f"Set it to {' or '.join(words)}.")
    return word


def load_model(wanted: ModelSpec | Path, report: Report, threads: int | None = None) -> Model:
    """A model of the catalogue or the hub, fetched if it is not here yet, or one of a folder in diffusers' layout.

    LIVE_DIFFUSION_VAE and LIVE_DIFFUSION_ATTENTION choose, LIVE_DIFFUSION_MODEL_DIR is where it is stored. `threads`
    are for one frame on a CPU; None: half of the cores, for the video codecs need the others. Reports the stages
    download (in bytes), VAE, weights, LoRA and ready; one with nothing to do is left out. Raises BackendUnavailable.
    """
    disable_progress_bar()  # the log is no terminal
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        torch.set_num_threads(threads or max(1, (os.cpu_count() or 2) // 2))
    name = wanted.key if isinstance(wanted, ModelSpec) else str(wanted)
    try:
        return _load(wanted, Choices.of_environment(), device, report)
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise BackendUnavailable(
            f"There is not enough memory for the model {name}.",
            "End what else uses the GPU, take another one (LIVE_DIFFUSION_GPU_DEVICE), or choose a smaller model.",
        ) from error
    except BackendUnavailable:
        raise
    except Exception as error:  # the libraries raise anything at all on files that are not what they say
        raise BackendUnavailable(
            f"The model {name} could not be loaded: {error}", "Check its files; in diffusers' layout each part has one."
        ) from error


def _load(wanted: ModelSpec | Path, choices: Choices, device: torch.device, report: Report) -> Model:
    files = _fetched(wanted, choices, device, report) if isinstance(wanted, ModelSpec) else _in_folder(wanted, choices)
    for folder in (files.base, files.vae):
        if folder:
            check_folder(folder)
    vae = {}
    if files.vae:  # the pipeline gets it at once, so that the weights of its own need not even be here
        with _stage("VAE", report):
            vae = {"vae": AutoencoderTiny.from_pretrained(files.vae, use_safetensors=True)}
    with _stage("weights", report):
        pipe = StableDiffusionPipeline.from_pretrained(
            files.base,
            variant=_variant(files, device),
            use_safetensors=True,
            local_files_only=True,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
            **vae,
        )
    if files.lora:
        with _stage("LoRA", report):
            fuse_lora(pipe, files.lora)
    if isinstance(pipe.vae, AutoencoderKL):
        if choices.vae == "tiny":
            logger.warning("%s has a full VAE only, which costs four times its UNet: a tiny one is faster", files.base)
        pipe.vae.enable_slicing()
    with _stage("ready", report):
        for part in (pipe.unet, pipe.vae, pipe.text_encoder):
            part.requires_grad_(False).eval().to(device, precision(device))
        if device.type == "cuda":
            pipe.unet.to(memory_format=torch.channels_last)
            pipe.vae.to(memory_format=torch.channels_last)
        if choices.attention == "xformers":
            use_xformers(pipe)
    return Model(files.name, pipe, files.steps)


@dataclass(frozen=True)
class _Files:
    """The folders of a model. `vae` is a tiny one in place of its own."""

    name: str
    base: Path
    vae: Path | None = None
    lora: Path | None = None
    steps: int | None = None


def _in_folder(folder: Path, choices: Choices) -> _Files:
    tiny = folder / TINY_VAE_FOLDER
    return _Files(folder.name, folder, tiny if choices.vae == "tiny" and tiny.is_dir() else None)


def _fetched(spec: ModelSpec, choices: Choices, device: torch.device, report: Report) -> _Files:
    logger.info("%s (%s)", spec.title, spec.licence)
    logger.info("%s", spec.notice)  # apart, since a line is cut where it is too long
    wanted = wanted_of(spec, half=device.type == "cuda", tiny_vae=choices.vae == "tiny")
    folders = iter(fetch(wanted, report))
    base = next(folders)
    vae = next(folders) if spec.vae and choices.vae == "tiny" else None
    return _Files(spec.key, base, vae, next(folders) if spec.lora else None, spec.steps)


def _variant(files: _Files, device: torch.device) -> str | None:
    """The word for files in half precision, if such are there and are best, or all there are."""
    stems = WEIGHTS if files.vae else (*WEIGHTS, VAE_WEIGHTS)
    half = any((files.base / f"{stem}.{HALF}.safetensors").is_file() for stem in stems)
    full = all((files.base / f"{stem}.safetensors").is_file() for stem in stems)
    return HALF if half and (device.type == "cuda" or not full) else None


@contextmanager
def _stage(name: str, report: Report) -> Iterator[None]:
    report(Progress(name, 0, 1, "steps"))
    yield
    report(Progress(name, 1, 1, "steps"))


def use_xformers(pipe: StableDiffusionPipeline) -> None:
    """Attention by xformers; if it cannot be used, by torch's own (SDPA), diffusers' default, which is as fast."""
    try:
        pipe.enable_xformers_memory_efficient_attention()
    except Exception as error:  # not installed, made for another torch, no GPU: each raises an error of its own
        reason = str(error).partition("\n")[0]
        logger.warning("xformers cannot be used (%s: %s): attention is torch's own", type(error).__name__, reason)
        pipe.disable_xformers_memory_efficient_attention()  # of the parts that had it already


def fuse_lora(pipe: StableDiffusionPipeline, folder: Path) -> None:
    """Add the LoRA in `folder` to the weights of `pipe`, for good. Raises OSError if it has no safetensors file."""
    if not (folder / LORA_FILE).is_file():
        raise OSError(f"{folder} has no {LORA_FILE}")
    pipe.load_lora_weights(folder, weight_name=LORA_FILE, use_safetensors=True)
    pipe.fuse_lora()
    pipe.unload_lora_weights()


def check_folder(folder: Path) -> None:
    """Raises BackendUnavailable for a folder that is not there, that has or names code, or weights as pickles only."""
    if not folder.is_dir():
        raise BackendUnavailable(
            f"There is no model folder {folder}.", "Name one in diffusers' layout, or a model of the catalogue."
        )
    files = [path for path in folder.rglob("*") if path.is_file()]
    if code := [path.name for path in files if path.suffix == ".py"]:
        raise BackendUnavailable(f"{folder} has program code, {code[0]}, which is not run.", "Use a plain model.")
    if foreign := _foreign_libraries(folder):
        raise BackendUnavailable(
            f"{folder / INDEX} takes parts from {foreign[0]}, which is not imported.", "Use a plain model."
        )
    safe = {path.parent for path in files if path.suffix == ".safetensors"}
    for path in files:
        if path.suffix in PICKLES and path.parent not in safe:
            raise BackendUnavailable(
                f"{path} is a pickle, which could run any code, and there is no safetensors file beside it.",
                "Convert the model to safetensors.",
            )


def _foreign_libraries(folder: Path) -> list[str]:
    """What diffusers would import by its name to make a part of the model: anything that is installed here."""
    try:
        index = json.loads((folder / INDEX).read_text())
        named = [part[0] for name, part in index.items() if not name.startswith("_") and isinstance(part, list | str)]
    except (OSError, ValueError, AttributeError, IndexError):  # what is no index, diffusers refuses
        return []
    return [repr(library) for library in named if library is not None and library not in LIBRARIES]
