"""What one frame costs the pipelines that run on a CPU: `python -m bench.style` or `python bench/style.py`.

512x512 in and out, one thread, smoothing on. Wall is what a viewer waits, core what the machine spends; other work on
the machine lengthens the first more than the second.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # alone runnable, from anywhere

import cv2
import numpy as np
import skimage.data
from rich.console import Console
from rich.table import Table

from pipeline.backend import Backend
from pipeline.backends.effects import Effects
from pipeline.backends.style import NeuralStyle
from pipeline.effects import EFFECTS
from pipeline.frame import Frame
from pipeline.painting.session import PaintingSession
from pipeline.policy.governor import SIZES
from pipeline.settings import Settings

SIDE = 512
WARM, ROUNDS = 3, 25
LIBRARIES = ("onnxruntime", "opencv-python-headless", "numpy")


def camera() -> list[Frame]:
    """A few noisy frames, so that smoothing has something to do."""
    chance = np.random.default_rng(0)
    photograph = skimage.data.astronaut()
    noise = (chance.normal(0, 3, photograph.shape) for _ in range(4))
    return [Frame.from_rgb(np.clip(photograph + grain, 0, 255).astype(np.uint8)) for grain in noise]


def measure(step: Callable[[int], object]) -> tuple[float, float]:
    """Median wall and core milliseconds of `step`, which is given the number of its round."""
    walls, cores = [], []
    for index in range(WARM + ROUNDS):
        wall, core = time.perf_counter(), time.process_time()
        step(index)
        if index >= WARM:
            walls.append((time.perf_counter() - wall) * 1000)
            cores.append((time.process_time() - core) * 1000)
    return statistics.median(walls), statistics.median(cores)


def frame_cost(backend: Backend[PaintingSession], prompt: str) -> tuple[float, float]:
    settings = Settings(pipeline=backend.name, prompt=prompt, width=SIDE, height=SIDE)
    state, frames = backend.new_state(settings), camera()
    return measure(lambda index: backend.step([(state, frames[index % len(frames)])]))


def main() -> None:
    """Print one table."""
    cv2.setNumThreads(1)
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES)
    table = Table(
        title=f"One {SIDE}x{SIDE} frame, median of {ROUNDS}, milliseconds",
        caption=f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, {versions}",
    )
    table.add_column("painted by")
    for column in ("wall", "core", "frames a second and core"):
        table.add_column(column, justify="right")

    def row(name: str, cost: tuple[float, float]) -> None:
        table.add_row(name, f"{cost[0]:.1f}", f"{cost[1]:.1f}", f"{1000 / cost[1]:.0f}")

    for size in SIZES:
        style = NeuralStyle(threads=1, sizes=(size,))
        style.load(lambda progress: None)
        row(f"neural style, network {size}", frame_cost(style, "starry night"))
        if size == SIZES[0]:
            row(f"neural style, network {size}, with neon", frame_cost(style, "starry night, neon"))
        style.close()
    effects = Effects()
    for name in EFFECTS:
        row(f"effect {name}", frame_cost(effects, name.replace("_", " ")))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
