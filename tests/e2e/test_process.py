"""The server as a process: it starts, is stopped by a signal, and takes its worker with it however it ends."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
START = [sys.executable, "-m", "webrtc_server", "serve", "--port", "0", "--pipeline", "identity"]


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(START, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as started:
        yield started
        started.kill()


def url_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    for line in process.stdout:
        if found := re.search(r"listening on (http://\S+)", line):
            return found[1]
    raise AssertionError("it never listened")


def wait_ready(url: str) -> None:
    for _ in range(200):
        try:
            with urllib.request.urlopen(f"{url}/readyz") as response:
                assert response.status == 200
                return
        except urllib.error.HTTPError as error:
            error.close()
        time.sleep(0.05)
    raise AssertionError("it was never ready")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly(process: subprocess.Popen[str], number: signal.Signals) -> None:
    wait_ready(url_of(process))
    workers = psutil.Process(process.pid).children()
    assert len(workers) == 1
    process.send_signal(number)
    assert process.wait(15) == 0
    assert not any(worker.is_running() for worker in workers)


def test_its_worker_does_not_outlive_a_killed_server(process: subprocess.Popen[str]) -> None:
    wait_ready(url_of(process))
    [worker] = psutil.Process(process.pid).children()
    process.kill()
    worker.wait(5)
