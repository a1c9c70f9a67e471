"""End to end over WebRTC: a server process, a client process, one row for each target of the project.

    python -m bench.end_to_end [--quick] [CASE ...]      cases: identity style slow kill cycles

Latency is from the camera's hand-over to the decoded picture that carries the same number: client encoder and
decoder are in it. The client waits for no frame that is already there (see tests/fakes/rtc_client.py).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from importlib import metadata

import psutil

from tests.fakes.rtc_client import RtcClient

WARM_UP = 3.0  # seconds: codecs and rate control settle


@dataclass(frozen=True)
class Result:
    """What a row says, and its figures for those who set bounds (`tests/e2e/test_targets.py`)."""

    text: str
    figures: dict[str, float]


@dataclass
class Server:
    url: str
    process: psutil.Process

    @property
    def worker(self) -> psutil.Process:
        [worker] = self.process.children()
        return worker

    def memory_mb(self) -> float:
        return sum(p.memory_info().rss for p in [self.process, *self.process.children()]) / 1e6

    def cpu_seconds(self) -> float:
        times = [p.cpu_times() for p in [self.process, *self.process.children()]]
        return sum(t.user + t.system for t in times)


@asynccontextmanager
async def server(pipeline: str, *places: int) -> AsyncIterator[Server]:
    """A server process with the faults of the tests beside the pipelines, ready; at most one number of `places`."""
    command = [sys.executable, "-m", "tests.fakes.server", pipeline, *map(str, places)]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout
    try:
        url = None
        while not url:
            url = re.search(r"listening on (\S+)", (await process.stdout.readline()).decode())
        yield Server(url[1], psutil.Process(process.pid))
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()


def percentile(values: list[float], percent: float) -> float:
    return statistics.quantiles(values, n=100)[round(percent) - 1]


async def identity(seconds: float) -> Result:
    """640x480 at 30 fps through the identity pipeline: >= 28 fps back, p95 under 120 ms."""
    async with server("identity") as under_test, RtcClient(under_test.url) as client:
        await asyncio.sleep(WARM_UP)
        begin, cpu = time.monotonic(), under_test.cpu_seconds()
        await asyncio.sleep(seconds)
        elapsed = time.monotonic() - begin
        frames = [frame for frame in client.received if frame.at >= begin]
        latencies = client.latencies(begin)
        used = (under_test.cpu_seconds() - cpu) / elapsed
    fps, p50, p95 = len(frames) / elapsed, percentile(latencies, 50), percentile(latencies, 95)
    text = f"{fps:.1f} fps; latency p50 {p50:.0f} ms, p95 {p95:.0f} ms; server and worker {used:.0%} of a core"
    return Result(text, {"fps": fps, "p95": p95})


async def style(seconds: float) -> Result:
    """Neural style, 512x512 out: >= 15 fps end to end, codecs included."""
    async with server("neural-style") as under_test, RtcClient(under_test.url) as client:
        await client.message("status", timeout=30)
        await client.frames(10, timeout=30)
        await asyncio.sleep(WARM_UP)
        client.send("subscribe_stats", {"interval_s": 1.0})
        begin, cpu = time.monotonic(), under_test.cpu_seconds()
        await asyncio.sleep(seconds)
        elapsed = time.monotonic() - begin
        frames = [frame for frame in client.received if frame.at >= begin]
        stats = [message["data"] for message in client.messages if message["type"] == "stats"][-1]
        used = (under_test.cpu_seconds() - cpu) / elapsed
    sizes = {f"{frame.width}x{frame.height}" for frame in frames}
    stages = {name: f"{times['p50']:.0f}/{times['p95']:.0f}" for name, times in stats["stages_ms"].items()}
    fps = len(frames) / elapsed
    text = f"{fps:.1f} fps of {', '.join(sizes)}; ms p50/p95 {stages}; server and worker {used:.0%} of a core"
    return Result(text, {"fps": fps})


async def slow(seconds: float) -> Result:
    """A pipeline that takes 100 ms: latency flat under 350 ms, memory flat, drops counted."""
    async with server("fault") as under_test, RtcClient(under_test.url, settings={"prompt": "slow 0.1"}) as client:
        await asyncio.sleep(WARM_UP)
        begin, memory = time.monotonic(), under_test.memory_mb()
        await asyncio.sleep(seconds / 2)
        middle = time.monotonic()
        await asyncio.sleep(seconds / 2)
        growth = under_test.memory_mb() - memory
        client.send("subscribe_stats", {"interval_s": 1.0})
        stats = await client.message("stats")
        whole, second = client.latencies(begin), client.latencies(middle)
    frames, dropped, queues = stats["frames"], sum(stats["dropped"].values()), sum(stats["queues"].values())
    lost = frames["received"] - frames["painted"] - dropped - queues
    p95, p95_second = percentile(whole, 95), percentile(second, 95)
    text = (
        f"latency p50 {percentile(whole, 50):.0f} ms, p95 {p95:.0f} ms, p95 of the second half {p95_second:.0f} ms; "
        f"memory {growth:+.1f} MB in {seconds:.0f} s; {frames['received']} pictures came, {frames['painted']} painted, "
        f"{dropped} dropped, {lost} not accounted for"
    )
    return Result(text, {"p95": p95, "p95_second": p95_second, "growth_mb": growth, "lost": lost, "dropped": dropped})


async def kill(times: float) -> Result:
    """kill -9 of the worker: same connection, picture back, settings kept."""
    told, back, recovered = [], [], 0
    async with server("fault") as under_test, RtcClient(under_test.url, settings={"seed": 77}) as client:
        await client.frames(10)
        for _ in range(int(times)):
            client.messages.clear()
            killed = time.monotonic()
            os.kill(under_test.worker.pid, signal.SIGKILL)
            await client.message("status", timeout=2, state="passthrough")
            told.append((time.monotonic() - killed) * 1000)
            status = await client.message("status", timeout=60, state="running")
            before = len(client.received)
            await client.until(lambda begin=before: any(f.number is None for f in client.received[begin:]))  # type: ignore[misc]
            back.append(time.monotonic() - killed)
            recovered += status["settings"]["seed"] == 77 and client.pc.connectionState == "connected"
            await asyncio.sleep(0.5)
    text = (
        f"{recovered} of {int(times)} recovered; told after {max(told):.0f} ms at most; picture back after "
        f"{back[0]:.2f} s the first time, {max(back):.1f} s at most (quick deaths in a row are delayed up to 30 s)"
    )
    return Result(text, {"recovered": recovered, "told_ms": max(told)})


async def cycles(count: float) -> Result:
    """Connect, watch, disconnect: nothing is left behind."""
    async with server("identity") as under_test:
        for _ in range(3):
            await _visit(under_test)
        threads, descriptors = under_test.process.num_threads(), under_test.process.num_fds()
        memory = under_test.memory_mb()
        for _ in range(int(count)):
            await _visit(under_test)
        await asyncio.sleep(1)
        threads = under_test.process.num_threads() - threads
        descriptors = under_test.process.num_fds() - descriptors
        growth = under_test.memory_mb() - memory
    text = f"{int(count)} cycles: threads {threads:+d}, descriptors {descriptors:+d}, memory {growth:+.1f} MB"
    return Result(text, {"threads": threads, "descriptors": descriptors})


async def _visit(under_test: Server) -> None:
    async with RtcClient(under_test.url) as client:
        await client.frames(5)
    await asyncio.sleep(0.1)


CASES: dict[str, tuple[Callable[[float], Awaitable[Result]], float, float]] = {
    "identity": (identity, 20, 5),
    "style": (style, 20, 5),
    "slow": (slow, 60, 6),
    "kill": (kill, 10, 2),
    "cycles": (cycles, 20, 5),
}


def machine() -> str:
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("aiortc", "av", "onnxruntime", "numpy"))
    cpu = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read()) if os.path.exists("/proc/cpuinfo") else None
    load = os.getloadavg()[0]
    return (
        f"{date.today()}, {os.cpu_count()} cores {cpu[1] if cpu else platform.processor()}, load {load:.1f} at first, "
        f"Python {platform.python_version()}, {versions}"
    )


async def run(names: list[str], quick: bool) -> None:
    sys.stdout.write(f"{machine()}\n\n| case | measured |\n|---|---|\n")
    for name in names:
        case, amount, quick_amount = CASES[name]
        sys.stdout.write(f"| {name} | {(await case(quick_amount if quick else amount)).text} |\n")
        sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=list(CASES), metavar="CASE")
    parser.add_argument("--quick", action="store_true", help="a few seconds each, to see that it works")
    arguments = parser.parse_args()
    asyncio.run(run(arguments.cases, arguments.quick))


if __name__ == "__main__":
    main()
