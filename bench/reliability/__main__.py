"""The promises of docs/reliability.md, measured: `python -m bench.reliability`, some minutes; `--long`, for the night.

One promise: `--only P2`, may be repeated. `--json FILE` writes the figures too. The exit code says whether all held
that holds on a busy machine too; with `--long`, whether everything did, and was run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from bench.reliability.absences import absences
from bench.reliability.drain import drain
from bench.reliability.hostile import fuzz, images, settings
from bench.reliability.kills import hangs, kills
from bench.reliability.latency import latency
from bench.reliability.leaks import leaks
from bench.reliability.loss import loss
from bench.reliability.promise import Row, Scale
from bench.reliability.soak import soak
from bench.reliability.stalls import stalls

PROMISES: dict[str, Callable[[Scale], Awaitable[Row]]] = {
    "P1": leaks,
    "P2": kills,
    "P3": hangs,
    "P4": absences,
    "P5": stalls,
    "P6": latency,
    "P7": loss,
    "P8": drain,
    "P9": settings,
    "P10": soak,
    "P11": fuzz,
    "P12": images,
}


def measure(promise: str, scale: Scale) -> Row:
    """A measurement that breaks down is a promise that is not kept."""
    try:
        return asyncio.run(PROMISES[promise](scale))  # type: ignore[arg-type]
    except Exception as error:
        traceback.print_exc()
        return Row(promise, "", f"broke down: {type(error).__name__}: {error}", "miss", False)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.reliability", description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--long", action="store_const", dest="scale", const=Scale.LONG, help="an hour, for the night")
    size.add_argument("--fast", action="store_const", dest="scale", const=Scale.FAST, help="a minute or two, coarse")
    parser.add_argument("--only", action="append", choices=PROMISES, metavar="P", help="this one; may be repeated")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    parser.set_defaults(scale=Scale.SHORT)
    options = parser.parse_args()
    libraries = ", ".join(f"{name} {version(name)}" for name in ("aiortc", "aiohttp"))
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    python = platform.python_version()
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {load}; Python {python}, {libraries}")
    print(f"scale {options.scale.name}\n")
    print("| | promise | measured | | s |\n| --- | --- | --- | --- | --- |", flush=True)
    rows = []
    for promise in options.only or PROMISES:
        begun = time.monotonic()
        row = measure(promise, options.scale)
        rows.append(row)
        print(
            f"| {row.promise} | {row.target} | {row.measured} | {row.verdict} | {time.monotonic() - begun:.0f} |",
            flush=True,
        )
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    if options.scale == Scale.LONG:
        return int(any(row.verdict != "pass" for row in rows))
    return int(any(not row.sound for row in rows))


if __name__ == "__main__":
    sys.exit(main())
