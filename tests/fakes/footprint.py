"""What a process holds: threads, file descriptors, child processes, shared memory by name. For the leak check."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Footprint:
    threads: Counter[str]
    descriptors: Counter[str]
    children: frozenset[str]  # process numbers
    shared_memory: frozenset[str]

    @classmethod
    def take(cls) -> Footprint:
        targets: Counter[str] = Counter()
        for entry in Path("/proc/self/fd").iterdir():
            if entry.name in ("0", "1", "2"):
                continue  # pytest turns them elsewhere and back
            try:
                target = os.readlink(entry)
            except FileNotFoundError:
                continue  # the listing's own
            targets[target.split(":")[0]] += 1
        return cls(
            Counter(thread.name for thread in threading.enumerate()),
            targets,
            frozenset(_children()),
            frozenset(os.listdir("/dev/shm")),
        )

    def excess_over(self, before: Footprint) -> dict[str, object]:
        """What is held now and was not held before."""
        excess = {
            "threads": self.threads - before.threads,
            "descriptors": self.descriptors - before.descriptors,
            "children": self.children - before.children,
            "shared memory": self.shared_memory - before.shared_memory,
        }
        return {name: value for name, value in excess.items() if value}


def _children() -> Iterator[str]:
    for path in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError):  # of a thread that has ended since it was listed
            yield from path.read_text().split()


def leaked(before: Footprint, patience: float = 3.0) -> dict[str, object]:
    """What stays held, after waiting up to `patience` seconds for threads and processes to end."""
    deadline = time.monotonic() + patience
    while excess := Footprint.take().excess_over(before):
        if time.monotonic() > deadline:
            return excess
        gc.collect()
        time.sleep(0.05)
    return {}
