"""The parent's half of the worker: starts the process, hears how it is, starts it again when it dies.

It decides nothing about time itself (`policy/restart.py` does) and knows nothing of sessions: those connect to
`path` on their own (`client.py`) and are told of each change through `subscribe`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pipeline.policy.restart import RestartPolicy
from pipeline.worker.messages import MAX_LINE, Failed, Loading, Ready, Watch, decode_from_worker, encode

WORKER_MODULE = "pipeline.worker.child"
LOAD_TIMEOUT = 600.0  # seconds from the start to a first frame; a model may be downloaded in it
STOP_TIMEOUT = 5.0  # seconds to end by itself before it is killed
BACKLOG = 128  # connections waiting to be accepted

logger = logging.getLogger(__name__)

Phase = Literal["loading", "ready", "down", "failed"]


@dataclass(frozen=True)
class WorkerState:
    """How the worker is. `pipeline` is the one it started with, once it was ready."""

    phase: Phase
    pipeline: str | None = None
    failures: dict[str, str] = field(default_factory=dict)
    progress: Loading | None = None
    message: str = ""
    fix: str = ""
    retry_in: float | None = None  # seconds


Listener = Callable[[WorkerState], None]


class Supervisor:
    """One worker process and its successors. `start` returns at once; `close` ends the process in bounded time."""

    def __init__(
        self, pipelines: Sequence[str], module: str = WORKER_MODULE, environment: Mapping[str, str] | None = None
    ) -> None:
        """The worker tries `pipelines` in order; `environment` is laid over this process's own for it."""
        self.state = WorkerState("loading")
        self.pid: int | None = None
        self.restarts = 0
        self._command = (sys.executable, "-m", module, "--pipelines", ",".join(pipelines))
        self._environment = os.environ | dict(environment or {})
        self._folder = Path(tempfile.mkdtemp(prefix="live-diffusion-"))
        self._listeners: list[Listener] = []
        self._policy = RestartPolicy()
        self._task: asyncio.Task[None] | None = None

    @property
    def path(self) -> str:
        """The Unix socket that sessions connect to; answers only while the worker lives."""
        return str(self._folder / f"worker-{self.restarts}")

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """`listener` is called with every new state. Returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="worker supervisor")

    async def close(self) -> None:
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        shutil.rmtree(self._folder, ignore_errors=True)

    def _publish(self, state: WorkerState) -> None:
        self.state = state
        for listener in tuple(self._listeners):
            listener(state)

    async def _run(self) -> None:
        while True:
            failed = await self._one_life()
            delay = self._policy.died(time.monotonic())
            logger.warning("worker ended; the next one starts in %.1f s", delay)
            if failed:
                self._publish(WorkerState("failed", message=failed.message, fix=failed.fix, retry_in=delay))
            else:
                self._publish(WorkerState("down", message="The picture process ended.", retry_in=delay))
            self.restarts += 1
            await asyncio.sleep(delay)

    async def _one_life(self) -> Failed | None:
        """From the start of a process to its end; what it said last, if that was why it cannot work."""
        try:
            process = await self._spawn()
        except OSError as error:
            return Failed("model_load_failed", f"the picture process cannot be started: {error}", "")
        self.pid = process.pid
        try:
            return await self._watch()
        finally:
            self.pid = None
            await _end(process)

    async def _spawn(self) -> asyncio.subprocess.Process:
        """The socket is made here and inherited, so that a connection never comes too early."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(self.path)
            listener.listen(BACKLOG)
            return await asyncio.create_subprocess_exec(
                *self._command,
                "--listener",
                str(listener.fileno()),
                stdin=asyncio.subprocess.PIPE,
                env=self._environment,
                pass_fds=(listener.fileno(),),
            )

    async def _watch(self) -> Failed | None:
        writer = None
        try:
            reader, writer = await asyncio.open_unix_connection(self.path, limit=MAX_LINE)
            writer.write(b"\n" + encode(Watch()))
            async with asyncio.timeout(LOAD_TIMEOUT) as limit:
                while line := await reader.readline():
                    match decode_from_worker(line):
                        case Loading() as progress:
                            self._publish(WorkerState("loading", progress=progress))
                        case Ready() as ready:
                            limit.reschedule(None)
                            self._policy.ready(time.monotonic())
                            self._publish(WorkerState("ready", ready.pipeline, ready.failures))
                        case Failed() as failed:
                            return failed
        except TimeoutError:
            return Failed("model_load_failed", f"nothing was painted {LOAD_TIMEOUT:.0f} s after the start", "")
        except (OSError, ValueError):  # it died before the connection, or in the middle of a line
            pass
        finally:
            if writer:
                writer.close()
        return None


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ask by the life line, then kill. Runs to its end even if cancelled meanwhile."""
    assert process.stdin
    process.stdin.close()
    try:
        async with asyncio.timeout(STOP_TIMEOUT):
            await process.wait()
    except (TimeoutError, asyncio.CancelledError):
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
