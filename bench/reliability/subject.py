"""The server that is watched: the whole of it in a process of its own, which says what it holds when it is asked.

`python -m bench.reliability.subject PIPELINE '{"max_sessions": 4}'` is that process; `Subject` starts it and asks.
Commands are lines on its standard input; it ends with its standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

import psutil
from aiortc import RTCPeerConnection

from tests.fakes.fault_backend import add_entries
from tests.fakes.footprint import Footprint
from tests.fakes.server import RunningServer
from webrtc_server.config import Config
from webrtc_server.observe import log
from webrtc_server.sessions.session import Session
from webrtc_server.web.app import SUPERVISOR
from webrtc_server.web.memory import leave_out_of_collections

LAG_TICK = 0.01  # seconds
TIMEOUT = 60.0  # seconds for an answer, a start or an end


@dataclass(frozen=True)
class View:
    tasks: int
    threads: int
    descriptors: int
    shared_memory: int  # names in /dev/shm
    objects: int  # peer connections and sessions alive; -1 unless asked for
    rss_mb: float  # of the server
    worker_rss_mb: float
    worker: int  # its process number, or 0
    phase: str  # of the worker
    sessions: list[str]  # view_ids
    painted: dict[str, int]  # by view_id
    lag_max_ms: float  # of the event loop, since it was last asked
    lag_p99_ms: float

    @property
    def all_painted(self) -> int:
        return sum(self.painted.values())


class Subject:
    """`async with Subject("identity", max_sessions=4) as server:`"""

    def __init__(self, pipeline: str, **config: object) -> None:
        self._command = [sys.executable, "-m", "bench.reliability.subject", pipeline, json.dumps(config)]

    async def __aenter__(self) -> Subject:
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        self._turn = asyncio.Lock()
        self.url: str = (await self._answer())["url"]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        try:
            async with asyncio.timeout(TIMEOUT):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
            raise

    async def look(self, collect: bool = False) -> View:
        """`collect` garbage first, which stops the server for a moment, and count objects."""
        return View(**await self._ask("collect" if collect else "look"))

    async def forget_deaths(self) -> None:
        await self._ask("forget")

    def kill_worker(self, view: View) -> None:
        os.kill(view.worker, signal.SIGKILL)

    async def _ask(self, command: str) -> dict[str, Any]:
        assert self._process.stdin
        async with self._turn:
            self._process.stdin.write(command.encode() + b"\n")
            return await self._answer()

    async def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        async with asyncio.timeout(TIMEOUT):
            answer: dict[str, Any] = json.loads(await self._process.stdout.readline())
        return answer


class _Lag:
    """How much later than asked the event loop does its work."""

    def __init__(self) -> None:
        self._late: list[float] = []

    async def watch(self) -> None:
        while True:
            asked = time.monotonic() + LAG_TICK
            await asyncio.sleep(LAG_TICK)
            self._late.append((time.monotonic() - asked) * 1000)

    def take(self) -> tuple[float, float]:
        """Greatest and 99th percentile, milliseconds, since the last call."""
        late, self._late = sorted(self._late) or [0.0], []
        return late[-1], late[int(len(late) * 0.99)]


def _view(server: RunningServer, lag: _Lag, collect: bool) -> View:
    greatest, p99 = lag.take()
    objects = -1
    if collect:
        gc.collect()
        objects = sum(isinstance(each, RTCPeerConnection | Session) for each in gc.get_objects())
        lag.take()
    footprint = Footprint.take()
    worker = server.app[SUPERVISOR].pid or 0
    worker_rss = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        worker_rss = psutil.Process(worker).memory_info().rss if worker else 0
    sessions = list(server.manager.sessions.values())
    return View(
        tasks=len(asyncio.all_tasks()),
        threads=footprint.threads.total(),
        descriptors=footprint.descriptors.total(),
        shared_memory=len(footprint.shared_memory),
        objects=objects,
        rss_mb=psutil.Process().memory_info().rss / 2**20,
        worker_rss_mb=worker_rss / 2**20,
        worker=worker,
        phase=server.app[SUPERVISOR].state.phase,
        sessions=[session.view_id for session in sessions],
        painted={session.view_id: session.statistics.frames["painted"] for session in sessions},
        lag_max_ms=greatest,
        lag_p99_ms=p99,
    )


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


async def main() -> None:
    log.setup("WARNING", "console")  # to standard error: standard output is for answers
    add_entries()
    server = RunningServer(Config(port=0, **json.loads(sys.argv[2])), sys.argv[1])
    await server.start(timeout=TIMEOUT)
    lag = _Lag()
    watching = asyncio.create_task(lag.watch(), name="lag")
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    _say({"url": server.url})
    while command := (await commands.readline()).decode().strip():
        if command == "forget":
            server.forget_deaths()
            _say({})
        else:
            _say(asdict(_view(server, lag, command == "collect")))
    watching.cancel()
    await server.close()


if __name__ == "__main__":
    leave_out_of_collections()
    asyncio.run(main())
