"""The media path, measured: `python -m bench.media`. This server, stock aiortc and fastrtc, with one kind of client.

Each row is a server process and client processes of its own, on loopback, with the pipeline `identity`. A part alone:
`--part sizes`; quicker and coarser: `--seconds 3`; undisturbed by other programs, as root: `--realtime`.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import psutil

SERVERS = {
    "this": [sys.executable, "-m", "webrtc_server", "serve", "--port", "0", "--pipeline", "identity", "--no-browser"],
    "aiortc": [sys.executable, "-m", "bench.media_stock", "aiortc"],
    "fastrtc": [sys.executable, "-m", "bench.media_stock", "fastrtc"],
}
SIZES = ("512x512", "640x480", "1280x720")
REFERENCE = "640x480"
LOSSES = (2, 5, 10)  # percent
VIEWERS = (0, 1, 4)
SESSIONS = (1, 2, 4, 8)
PARTS = ("sizes", "chromium", "loss", "viewers", "sessions")

Row = dict[str, Any]


@contextmanager
def server(name: str) -> Iterator[tuple[str, psutil.Process]]:
    """A server process, once it has painted: its address and itself."""
    with subprocess.Popen(SERVERS[name], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout
            url = next(found[1] for line in process.stdout if (found := re.search(r"listening on (\S+)", line)))
            if name == "this":
                _wait_ready(url)
            yield url, psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(20)


def _wait_ready(url: str) -> None:
    for _ in range(200):
        try:
            urllib.request.urlopen(f"{url}/readyz").close()
            return
        except urllib.error.HTTPError as error:
            error.close()
            time.sleep(0.1)
    raise TimeoutError("the server was never ready")


def cpu_seconds(process: psutil.Process) -> float:
    """Of the process and its children, since their start."""
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(each.user + each.system for each in times)


def measure(
    name: str, size: str, seconds: float, *options: str, sessions: int = 1, client: str = "bench.media_client"
) -> Row:
    """One row: what the first client says, with the server's CPU in percent of a core for each session."""
    with server(name) as (url, process):
        command = [sys.executable, "-m", client, url, size, "--seconds", str(seconds), *options]
        clients = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(sessions)]
        try:
            for each in clients:
                assert each.stdout
                each.stdout.readline()  # it measures from now on
            before, begun = cpu_seconds(process), time.monotonic()
            for each in clients:
                assert each.stdout
                each.stdout.readline()  # it has measured
            spent = (cpu_seconds(process) - before) / ((time.monotonic() - begun) * sessions)
            texts = [each.stdout.read() for each in clients if each.stdout]
        finally:
            for each in clients:
                each.kill()
                each.communicate()
    rows: list[Row] = [json.loads(text.splitlines()[-1]) for text in texts]
    rows[0]["cpu"] = spent * 100
    rows[0]["all_fps"] = [row["fps"] for row in rows]
    return rows[0]


def show(title: str, row: Row, extra: str = "") -> None:
    def number(name: str, digits: int = 0) -> str:
        return "-" if row[name] is None else f"{row[name]:.{digits}f}"

    latency = f"{number('p50', 1)} / {number('p95', 1)}"
    gaps = f"{number('frozen', 2)} / {number('longest', 2)}"
    cells = (title, row["codec"], number("fps", 1), latency, number("cpu"), number("psnr", 1), number("kbps"))
    print("|", " | ".join((*cells, number("first"), gaps, row["size"], extra)), "|", flush=True)


def head(title: str) -> None:
    print(f"\n{title}\n")
    print(
        "| row | codec | fps | latency p50 / p95 ms | server CPU % of a core, each session | PSNR dB | kbit/s back "
        "| first picture ms | frozen / longest gap s | picture | |"
    )
    print("|" + " --- |" * 11)


def sizes(servers: Sequence[str], seconds: float, *options: str, client: str = "bench.media_client") -> None:
    for size in SIZES:
        rows: dict[str, Row] = {}
        for name in servers:
            rows[name] = measure(name, size, seconds, *options, client=client)
            show(f"{size} {name}", rows[name])
        if {"this", "aiortc"} <= rows.keys() and rows["aiortc"]["p50"] and rows["this"]["p50"]:
            print(f"latency of this / stock aiortc: {rows['this']['p50'] / rows['aiortc']['p50']:.2f}")


def loss(servers: Sequence[str], seconds: float) -> None:
    head(f"Loss each way, {REFERENCE}")
    for name in servers:
        for percent in LOSSES:
            show(f"{percent} % {name}", measure(name, REFERENCE, seconds * 1.5, "--loss", str(percent)))
        show(f"one packet for good {name}", measure(name, REFERENCE, seconds * 1.5, "--hole"))


def viewers(seconds: float) -> None:
    head(f"Viewers, {REFERENCE}")
    alone = 0.0
    for count in VIEWERS:
        row = measure("this", REFERENCE, seconds, "--viewers", str(count))
        fps = ", ".join(f"{each:.1f}" for each in row["viewer_fps"])
        alone = row["cpu"] if count == 0 else alone
        each = f"{(row['cpu'] - alone) / count:.1f} % of a core for each viewer; viewers' fps {fps}" if count else ""
        show(f"{count} viewers", row, each)


def sessions(servers: Sequence[str], seconds: float) -> None:
    head(f"Sessions, {REFERENCE}; the clients share this machine")
    for name in servers:
        for count in SESSIONS:
            row = measure(name, REFERENCE, seconds, sessions=count)
            show(f"{count} {name}", row, "fps " + ", ".join(f"{each:.0f}" for each in row["all_fps"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=PARTS, action="append", help="only this part; may be repeated")
    parser.add_argument("--seconds", type=float, default=6, help="measured in each row")
    parser.add_argument(
        "--uplink", type=int, help="kbit/s of the client in the part `sizes`; else 2.5 times the way back"
    )
    parser.add_argument("--only-this", action="store_true", help="no other servers")
    parser.add_argument("--realtime", action="store_true", help="with real-time priority (SCHED_RR), as root")
    options = parser.parse_args()
    if options.realtime:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    names = ["this"] if options.only_this else ["this", "aiortc"]
    if not options.only_this and importlib.util.find_spec("fastrtc"):
        names.append("fastrtc")
    elif not options.only_this:
        print("fastrtc is not installed here, and left out")
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    libraries = ", ".join(f"{name} {version(name)}" for name in ("aiortc", "av", "numpy"))
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {load}; {libraries}")
    parts = options.part or PARTS
    if "sizes" in parts:
        head("Sizes")
        sizes(names, options.seconds, *(("--uplink", str(options.uplink)) if options.uplink else ()))
    if "chromium" in parts:
        head("Sizes, a real Chromium as the client")
        sizes(names[:2], options.seconds, client="bench.media_chromium")
    if "loss" in parts:
        loss(names[:2], options.seconds)
    if "viewers" in parts:
        viewers(options.seconds)
    if "sessions" in parts:
        sessions(names[:1], options.seconds)


if __name__ == "__main__":
    main()
