"""How long work takes: on a GPU between two of its own events, on a CPU by the wall."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

WARM = 3  # runs before the first that counts: kernels are chosen and memory is taken in them


def median_ms(device: torch.device, work: Callable[[], object], rounds: int) -> float:
    """The median of `rounds` runs, in milliseconds."""
    once = _on_gpu if device.type == "cuda" else wall_ms
    for _ in range(WARM):
        work()
    return statistics.median(once(work) for _ in range(rounds))


def wall_ms(work: Callable[[], object]) -> float:
    """One run of work that ends with its result in the computer's own memory."""
    started = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - started)


def _on_gpu(work: Callable[[], object]) -> float:
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    work()
    end.record()
    end.synchronize()
    elapsed: float = begin.elapsed_time(end)
    return elapsed
