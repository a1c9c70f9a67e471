"""What a frame costs beside the model, what a storm of prompts does to the picture, what steadiness gives and costs.

    python -m bench.diffusion

The costs are those of the engine against the package's own way. Both give 512x512, the engine from and to the I420 of
video, over the same stand-ins for UNet and VAE; in turns, for a busy machine is busy for both. The package's way is its
`__call__` from PIL to PIL without its CUDA events, which a CPU lacks.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Sequence
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
from pipeline.backends.diffusion.device import Cpu
from pipeline.backends.diffusion.loader import Model
from pipeline.backends.diffusion.rounds import Rounds
from pipeline.frame import Frame, PixelFormat, Pixels
from pipeline.settings import Settings
from tests.pipeline.diffusion import tiny_model
from tests.pipeline.diffusion.harness import Sensitive

SIZE = 512
CAMERA = (1280, 720)
ROUNDS = 15
SESSIONS = 4
STORM = 30.0  # seconds
STEADY_SIDE = 256  # pixels


class Free:
    """Networks that answer without computing, from memory that is there already."""

    device = Cpu()
    latents = torch.zeros((SESSIONS, 4, SIZE // 8, SIZE // 8))
    pictures = torch.zeros((SESSIONS, 3, SIZE, SIZE))

    def encode(self, *columns: Sequence[Tensor]) -> Tensor:
        return self.latents[: len(columns[0])]

    def predict(self, *columns: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(columns[0]))

    def decode(self, *columns: Sequence[Tensor]) -> Tensor:
        return self.pictures[: len(columns[0])]


class FreeVae:
    """The same for the package's stream, with the face of a tiny VAE."""

    dtype = torch.float32
    config = SimpleNamespace(scaling_factor=1.0)

    def encode(self, pictures: Tensor) -> SimpleNamespace:
        return SimpleNamespace(latents=pictures.new_zeros((len(pictures), 4, SIZE // 8, SIZE // 8)))

    def decode(self, latents: Tensor, return_dict: bool = True) -> tuple[Tensor]:
        return (latents.new_zeros((len(latents), 3, SIZE, SIZE)),)


def noise(width: int, height: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def ours(
    backend: Diffusion, size: tuple[int, int], sessions: int = 1, steadiness: float = 0.0, steps: int = 1
) -> Callable[[], object]:
    settings = Settings(pipeline="diffusion", steps=steps, steadiness=steadiness)
    frame = Frame.from_rgb(noise(*size)).convert(PixelFormat.I420)
    batch = [(backend.new_state(settings), frame) for _ in range(sessions)]
    return lambda: backend.step(batch)


def theirs(model: Model, size: tuple[int, int], steps: int = 1) -> Callable[[], object]:
    stream = package.new_stream(model.pipe, steps, SIZE)
    stream.vae = FreeVae()
    stream.unet = lambda latents, *_, **__: (latents,)
    return package.step(stream, Image.fromarray(noise(*size)))


def costs(folder: Path) -> None:
    """Print a table of core time."""
    backend = loaded(folder)
    model = backend._model
    backend._rounds = Rounds(Free())
    ways: dict[str, tuple[Callable[[], object], int]] = {}
    for size in ((SIZE, SIZE), CAMERA):
        name = f"{size[0]}x{size[1]}"
        ways[f"{name}: package, PIL to PIL"] = theirs(model, size), 1
        ways[f"{name}: engine"] = ours(backend, size), 1
        ways[f"{name}: engine, steadiness 0.6"] = ours(backend, size, steadiness=0.6), 1
        ways[f"{name}: engine, {SESSIONS} sessions"] = ours(backend, size, SESSIONS), SESSIONS
    ways[f"{SIZE}x{SIZE}: package, 4 steps"] = theirs(model, (SIZE, SIZE), 4), 1
    ways[f"{SIZE}x{SIZE}: engine, 4 steps"] = ours(backend, (SIZE, SIZE), steps=4), 1
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
        print(f"\nsteadiness, its cost, tiny model: {compared(backend, STEADY_SIDE)}")
        backend._rounds = Rounds(Sensitive(backend._model))
        print(f"steadiness, networks that overdo a camera's noise: {compared(backend, STEADY_SIDE)}")
        backend.close()


if __name__ == "__main__":
    main()
