"""What a frame costs beside the model, what a storm of prompts does to the picture, what steadiness gives and costs.

    python -m bench.diffusion

The costs are those of the engine against the package's own way, with networks that cost nothing. Both get 720p camera
pictures and give 512x512, over the same stand-ins for UNet and VAE; in turns, for a busy machine is busy for both. The
package's way is its `__call__` from PIL to PIL without its CUDA events, which a CPU lacks.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bench import package
from bench.prompt_storm import storm
from bench.steadiness import compared
from pipeline.backends.diffusion import Diffusion
from pipeline.backends.diffusion.live import Rows
from pipeline.backends.diffusion.loader import Model
from pipeline.frame import Frame, PixelFormat
from pipeline.settings import Settings
from tests.pipeline.diffusion import tiny_model

SIZE = 512
CAMERA = (1280, 720)
ROUNDS = 15
SESSIONS = 4
STORM = 30.0  # seconds
STEADY_SIDE = 256  # pixels


class Free(Model):
    """Networks that answer without computing."""

    def encode(self, pictures: Tensor) -> Tensor:
        return pictures.new_zeros((len(pictures), 4, SIZE // 8, SIZE // 8))

    def predict(self, rows: Rows) -> Tensor:
        return rows.latents

    def decode(self, latents: Tensor) -> Tensor:
        return latents.new_zeros((1, 3, SIZE, SIZE)).expand(len(latents), -1, -1, -1)


class FreeVae:
    """The same for the package's stream, with the face of a tiny VAE."""

    dtype = torch.float32
    config = SimpleNamespace(scaling_factor=1.0)

    def encode(self, pictures: Tensor) -> SimpleNamespace:
        return SimpleNamespace(latents=pictures.new_zeros((len(pictures), 4, SIZE // 8, SIZE // 8)))

    def decode(self, latents: Tensor, return_dict: bool = True) -> tuple[Tensor]:
        return (latents.new_zeros((len(latents), 3, SIZE, SIZE)),)


def ours(backend: Diffusion, pixel_format: PixelFormat, sessions: int, steps: int) -> Callable[[], object]:
    settings = Settings(pipeline="diffusion", steps=steps)
    camera = np.random.default_rng(0).integers(0, 256, (CAMERA[1], CAMERA[0], 3), np.uint8)
    frame = Frame.from_rgb(camera).convert(pixel_format)
    batch = [(backend.new_state(settings), frame) for _ in range(sessions)]
    return lambda: backend.step(batch)


def theirs(model: Model, steps: int) -> Callable[[], object]:
    stream = package.new_stream(model.pipe, steps, SIZE)
    stream.vae = FreeVae()
    stream.unet = lambda latents, *_, **__: (latents,)
    camera = np.random.default_rng(0).integers(0, 256, (CAMERA[1], CAMERA[0], 3), np.uint8)
    return package.step(stream, Image.fromarray(camera))


def costs(folder: Path) -> None:
    """Print a table of core time."""
    backend = loaded(folder)
    model = backend._model
    backend._model = Free(model.name, model.pipe)
    ways = {"package, PIL to PIL": (theirs(model, 1), 1), "package, PIL to PIL, 4 steps": (theirs(model, 4), 1)}
    for pixel_format in PixelFormat:
        ways[f"engine, {pixel_format}"] = ours(backend, pixel_format, 1, 1), 1
    ways["engine, i420, 4 steps"] = ours(backend, PixelFormat.I420, 1, 4), 1
    ways[f"engine, i420, {SESSIONS} sessions"] = ours(backend, PixelFormat.I420, SESSIONS, 1), SESSIONS
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, (step, frames) in ways.items():
            started = time.thread_time()
            step()
            spent[name].append(1000 * (time.thread_time() - started) / frames)
    print(f"{'CPU milliseconds a frame':34}{'median':>8}{'least':>8}")
    for name, times in spent.items():
        print(f"{name:34}{np.median(times):8.1f}{min(times):8.1f}")
    backend.close()


def loaded(folder: Path) -> Diffusion:
    backend = Diffusion(str(folder), threads=1, executor=tiny_model.AtOnce())
    backend.load(lambda progress: None)
    return backend


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = tiny_model.build(Path(name))
        costs(folder)
        print(f"\ntiny model, 20 prompts a second for {STORM:.0f} s: {asyncio.run(storm(folder, STORM)).text}")
        backend = loaded(folder)
        print(f"\ntiny model, steadiness: {compared(backend, STEADY_SIDE)}")
        backend.close()


if __name__ == "__main__":
    main()
