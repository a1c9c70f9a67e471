"""The server as a process: it starts, is stopped by a signal in whatever it does, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import numpy as np
import psutil
import pytest
from PIL import Image
from websockets.asyncio.client import connect

from tests.fakes.rtc_client import OfferRefused, RtcClient
from tests.webrtc_server.test_websocket import as_file, client_of

ROOT = Path(__file__).parents[2]
REAL = [sys.executable, "-m", "webrtc_server", "serve", "--pipeline", "identity"]
WITH_FAULTS = [sys.executable, "-m", "tests.fakes.process"]
LONG = 600  # seconds that nobody is to wait for
PROMPTLY = 20.0  # seconds, on a busy machine, for what waits for nobody


class Process:
    """A server, its children as they are seen, and a folder of its own for what it writes."""

    def __init__(self, command: list[str], folder: Path, **settings: object) -> None:
        self._folder = folder
        shared = {f"LIVE_DIFFUSION_{name.upper()}": str(value) for name, value in ({"port": 0} | settings).items()}
        self._log = folder.parent / "log"
        with self._log.open("wb") as log:
            self.popen = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=ROOT,
                env=os.environ | {"TMPDIR": str(folder)} | shared,
            )
        assert self.popen.stdout
        self.workers: list[psutil.Process] = []
        self.url = ""
        for line in self.popen.stdout:
            if found := re.search(r"listening on (https?://\S+)", line):
                self.url = found[1]
                return

    @property
    def port(self) -> str:
        return self.url.rpartition(":")[2]

    def worker(self) -> psutil.Process:
        """The one there is now."""
        until = time.monotonic() + PROMPTLY
        while not (found := psutil.Process(self.popen.pid).children()):
            assert time.monotonic() < until, "no worker"
            time.sleep(0.02)
        self.workers += found
        return found[0]

    def wait_ready(self) -> psutil.Process:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                with urllib.request.urlopen(f"{self.url}/readyz") as response:
                    assert response.status == 200
                    return self.worker()
            except urllib.error.HTTPError as error:
                error.close()
            time.sleep(0.05)
        raise AssertionError("it was never ready")

    def signal(self, number: signal.Signals) -> float:
        """When it was sent."""
        self.workers += psutil.Process(self.popen.pid).children()
        self.popen.send_signal(number)
        return time.monotonic()

    async def ends(self, since: float, within: float) -> float:
        """Code 0 `within` so many seconds, no child, nothing left in its folder; how many seconds it took."""
        code = await asyncio.to_thread(self.popen.wait, within + 5)
        took = time.monotonic() - since
        sys.stdout.write(f"exit code {code} after {took:.2f} s\n")
        assert (code, took < within) == (0, True), self._log.read_text()[-2000:]
        assert not any(worker.is_running() for worker in self.workers)
        assert list(self._folder.iterdir()) == []
        assert not any("live-diffusion" in name or "psm_" in name for name in os.listdir("/dev/shm"))
        return took

    def close(self) -> None:
        self.popen.kill()
        self.popen.wait()
        assert self.popen.stdout
        self.popen.stdout.close()
        for worker in self.workers:
            if worker.is_running():
                worker.kill()


Start = Callable[..., Process]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """`start("fault", drain_seconds=3)`; without a pipeline the command itself, as users start it."""
    started: list[Process] = []

    def begin(pipeline: str | None = None, **settings: object) -> Process:
        folder = tmp_path / str(len(started)) / "tmp"
        folder.mkdir(parents=True)
        started.append(Process([*WITH_FAULTS, pipeline] if pipeline else REAL, folder, **settings))
        assert started[-1].url, "it never listened"
        return started[-1]

    yield begin
    for process in started:
        process.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_an_idle_one_at_once(start: Start, number: signal.Signals) -> None:
    process = start(drain_seconds=LONG)
    process.wait_ready()
    await process.ends(process.signal(number), PROMPTLY)


def test_its_worker_does_not_outlive_a_killed_server(start: Start) -> None:
    process = start()
    worker = process.wait_ready()
    process.popen.kill()
    worker.wait(5)


async def test_killed_it_can_be_started_again_on_the_same_port_at_once(start: Start) -> None:
    process = start()
    process.wait_ready()
    async with client_of(process.url):  # a connection that ends on the server's side keeps its port for a while
        process.popen.kill()
        process.popen.wait()
    again = start("identity", port=process.port)
    assert again.url == process.url
    again.wait_ready()
    await again.ends(again.signal(signal.SIGTERM), PROMPTLY)


@pytest.mark.slow
async def test_three_sessions_are_told_and_drained(start: Start) -> None:
    """What comes meanwhile gets a 503, not a closed door; when they have left it ends."""
    process = start(drain_seconds=LONG)
    process.wait_ready()
    async with RtcClient(process.url) as one, RtcClient(process.url) as two, client_of(process.url) as three:
        for client in (one, two):
            await client.frames(3)
        begun = process.signal(signal.SIGTERM)
        for client in (one, two):
            told = await client.message("status", state="draining")
            assert LONG - 30 < told["retry_in_s"] <= LONG
            await client.frames(10)
        while (await three.message("status"))["state"] != "draining":
            pass
        await three.socket.send(as_file(Image.new("RGB", (320, 240))))
        await three.picture()
        with pytest.raises(OfferRefused) as refused:
            await RtcClient(process.url).connect()
        assert (refused.value.status, refused.value.problem["code"]) == (503, "draining")
        assert refused.value.headers["Retry-After"] == "5"
        async with aiohttp.ClientSession(process.url) as http:
            for path, status in (("/readyz", 503), ("/healthz", 200)):
                async with http.get(path) as response:
                    assert response.status == status
        assert process.popen.poll() is None
        left = time.monotonic()
    await process.ends(begun, left - begun + PROMPTLY)


@pytest.mark.slow
async def test_sessions_that_stay_are_ended_at_the_deadline(start: Start) -> None:
    process = start(drain_seconds=3)
    process.wait_ready()
    async with RtcClient(process.url) as one, client_of(process.url) as two:
        await one.frames(3)
        begun = process.signal(signal.SIGTERM)
        closed = await one.message("status", state="closed")
        assert (closed["reason"], time.monotonic() - begun >= 3) == ("draining", True)
        while (await two.message("status"))["state"] != "closed":
            pass
        assert await process.ends(begun, 3 + PROMPTLY) >= 3


@pytest.mark.slow
async def test_ctrl_c_gives_the_prompt_back(start: Start) -> None:
    process = start(drain_seconds=LONG)
    process.wait_ready()
    async with RtcClient(process.url) as client:
        await client.frames(3)
        begun = process.signal(signal.SIGINT)
        assert (await client.message("status", state="closed"))["reason"] == "draining"
        await process.ends(begun, PROMPTLY)


@pytest.mark.slow
async def test_stopped_while_the_model_is_being_loaded(start: Start) -> None:
    process = start("slow-to-load", drain_seconds=1)
    process.worker()
    async with RtcClient(process.url) as client:
        await client.message("status", state="loading")
        begun = process.signal(signal.SIGTERM)
        await client.message("status", state="draining")
        await process.ends(begun, 1 + PROMPTLY)


@pytest.mark.slow
async def test_stopped_before_it_has_done_anything(start: Start) -> None:
    process = start("identity")
    await process.ends(process.signal(signal.SIGTERM), PROMPTLY)


@pytest.mark.slow
@pytest.mark.parametrize("pause", [0.0, 0.7])  # dead and not yet followed, and being started again
async def test_stopped_while_the_worker_is_started_again(start: Start, pause: float) -> None:
    process = start("identity", drain_seconds=1)
    worker = process.wait_ready()
    worker.kill()
    await asyncio.sleep(pause)
    await process.ends(process.signal(signal.SIGTERM), PROMPTLY)


@pytest.mark.slow
async def test_a_hanging_frame_does_not_hold_it(start: Start) -> None:
    process = start("fault", drain_seconds=1)
    process.wait_ready()
    async with RtcClient(process.url, settings={"prompt": "slow 600"}) as client:
        await client.message("status")
        await asyncio.sleep(0.5)
        await process.ends(process.signal(signal.SIGTERM), 1 + PROMPTLY)


@pytest.mark.slow
async def test_a_worker_and_a_client_that_stand_still_do_not_hold_it(start: Start) -> None:
    process = start("identity", drain_seconds=3)
    worker = process.wait_ready()
    picture = as_file(Image.fromarray(np.random.default_rng(1).integers(0, 256, (1024, 1024, 3), np.uint8)))
    async with connect(process.url.replace("http", "ws") + "/ws", max_queue=1, close_timeout=0.1) as socket:
        for _ in range(20):
            await socket.send(picture)
        worker.suspend()
        assert await process.ends(process.signal(signal.SIGTERM), 3 + PROMPTLY) >= 3


@pytest.mark.slow
async def test_a_second_signal_ends_even_that_at_once(start: Start) -> None:
    process = start("identity", drain_seconds=LONG)
    worker = process.wait_ready()
    async with RtcClient(process.url) as client:
        await client.frames(3)
        worker.suspend()
        process.signal(signal.SIGTERM)
        await client.message("status", state="draining")
        begun = process.signal(signal.SIGTERM)
        await client.message("status", state="closed")
        await process.ends(begun, PROMPTLY)
