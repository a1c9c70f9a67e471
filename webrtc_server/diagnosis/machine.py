"""Memory and disk, as a container may bound them."""

from __future__ import annotations

import os
from pathlib import Path

from webrtc_server.config import Config
from webrtc_server.diagnosis.finding import Finding, ok, warning

MEMORY = Path("/proc/meminfo")
CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")  # cgroup v2
CONTAINER_USE = Path("/sys/fs/cgroup/memory.current")  # with what files left behind, which the kernel gives up
CONTAINER_STAT = Path("/sys/fs/cgroup/memory.stat")
NEEDED = 1.0e9  # bytes; server and worker take 0.3e9 with the neural style before anybody comes, sessions add theirs


def memory(config: Config) -> list[Finding]:
    """What there is and what is free of it; of a container what it may take."""
    total, free = _machine()
    where = ""
    limit, used = _number(CONTAINER_LIMIT), _number(CONTAINER_USE)
    if limit is not None and used is not None and limit < total:
        total, free, where = limit, min(free, limit - used + _reclaimable()), " of this container"
    text = f"memory{where}: {total / 1e9:.1f} GB, {free / 1e9:.1f} GB free"
    if free < NEEDED:
        return [warning(text, f"Leave {NEEDED / 1e9:.0f} GB free: a server that finds none is killed.")]
    return [ok(text)]


def _machine() -> tuple[float, float]:
    """Bytes in all, and free."""
    total = float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    if not MEMORY.exists():
        return total, total  # macOS tells no figure that means the same
    lines = dict(line.split(":", 1) for line in MEMORY.read_text().splitlines() if ":" in line)
    return total, float(lines["MemAvailable"].split()[0]) * 1024


def _reclaimable() -> float:
    """Bytes of files that nothing in this container has touched lately."""
    try:
        stat = dict(line.split() for line in CONTAINER_STAT.read_text().splitlines())
        return float(stat["inactive_file"])
    except (OSError, ValueError, KeyError):
        return 0.0


def _number(path: Path) -> float | None:
    """What stands in a file of the kernel's; None for `max`, or without the file."""
    try:
        return float(path.read_text())
    except (OSError, ValueError):
        return None
