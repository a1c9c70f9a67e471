"""The parent's half of the worker: starts the process, hears how it is, starts it again when it dies.

It decides nothing about time itself (`policy/restart.py` does) and knows nothing of sessions: those connect to
`path` on their own (`client.py`) and are told of each change through `subscribe`. It remembers which model was loaded
last, and the next worker starts with that.
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
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from pipeline.policy.restart import RestartPolicy
from pipeline.worker.messages import (
    EXIT_DEVICE_LOST,
    MAX_LINE,
    Failed,
    FromWorker,
    Loaded,
    LoadFailed,
    Loading,
    LoadModel,
    Ready,
    Watch,
    decode_from_worker,
    encode,
)

WORKER_MODULE = "pipeline.worker.child"
LOAD_TIMEOUT = 600.0  # seconds from the start, or the wish for a model, to a first frame; it may be downloaded in it
STOP_TIMEOUT = 5.0  # seconds to end by itself before it is killed
BACKLOG = 128  # connections waiting to be accepted

ENDED = "The picture process ended."

logger = logging.getLogger(__name__)

Phase = Literal["loading", "ready", "down", "failed"]


@dataclass(frozen=True)
class WorkerState:
    """How the worker is. `pipeline` is the one it started with, once it was ready.

    `switching` is the model that is being loaded beside what paints, `progress` then is its; `load_failed` says what
    became of the last such wish, if it failed.
    """

    phase: Phase
    pipeline: str | None = None
    failures: dict[str, str] = field(default_factory=dict)
    devices: dict[str, str] = field(default_factory=dict)  # of the pipelines that are loaded
    model: str | None = None  # that is loaded, by its own name; None without one
    progress: Loading | None = None
    switching: str | None = None
    load_failed: LoadFailed | None = None
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
        self._model: str | None = None  # that was asked for last and could be loaded; None: the worker's own choice
        self._watching: tuple[asyncio.StreamWriter, asyncio.Timeout] | None = None

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

    def load_model(self, pipeline: str, model: str) -> bool:
        """Whether the worker was asked to load it beside what paints; each new state tells how far it is.

        False unless the worker is ready, and loads none yet. One that hangs, or dies of it, is followed by a worker
        with the model before.
        """
        if self.state.phase != "ready" or self.state.switching is not None or self._watching is None:
            return False
        writer, limit = self._watching
        writer.write(encode(LoadModel(pipeline, model)))
        limit.reschedule(asyncio.get_running_loop().time() + LOAD_TIMEOUT)
        self._publish(replace(self.state, switching=model, load_failed=None, progress=Loading("start", 0, 0, "")))
        return True

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
            self._publish(self._after_death(failed, delay))
            self.restarts += 1
            await asyncio.sleep(delay)

    def _after_death(self, failed: Failed | None, delay: float) -> WorkerState:
        wanted = self.state.switching
        if wanted is not None:  # what failed is the model, not the worker, which did work before
            why = failed.message if failed else "the picture process ended while it was being loaded"
            load_failed = LoadFailed(wanted, "model_load_failed", why, "Choose a smaller model, or see the log.")
            return WorkerState("down", message=ENDED, load_failed=load_failed, retry_in=delay)
        if failed:
            return WorkerState("failed", message=failed.message, fix=failed.fix, retry_in=delay)
        return WorkerState("down", message=ENDED, load_failed=self.state.load_failed, retry_in=delay)

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
            if process.returncode == EXIT_DEVICE_LOST:
                logger.error("the worker has lost its device")

    async def _spawn(self) -> asyncio.subprocess.Process:
        """The socket is made here and inherited, so that a connection never comes too early."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(self.path)
            listener.listen(BACKLOG)
            return await asyncio.create_subprocess_exec(
                *self._command,
                "--listener",
                str(listener.fileno()),
                *(() if self._model is None else ("--model", self._model)),
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
                self._watching = writer, limit
                while line := await reader.readline():
                    message = decode_from_worker(line)
                    if isinstance(message, Failed):
                        return message
                    if isinstance(message, Ready | LoadFailed):
                        limit.reschedule(None)
                    self._hear(message)
        except TimeoutError:
            return Failed("model_load_failed", f"nothing was painted in {LOAD_TIMEOUT:.0f} s", "")
        except (OSError, ValueError):  # it died before the connection, or in the middle of a line
            pass
        finally:
            self._watching = None
            if writer:
                writer.close()
        return None

    def _hear(self, message: FromWorker) -> None:
        """Raises ValueError for what does not belong here."""
        state = self.state
        match message:
            case Loading() as progress if state.phase == "ready":
                self._publish(replace(state, progress=progress))
            case Loading() as progress:
                self._publish(WorkerState("loading", progress=progress, load_failed=state.load_failed))
            case Ready() as ready if state.phase == "ready":  # with another model
                self._model = state.switching
                devices = state.devices | {ready.pipeline: ready.device}
                self._publish(WorkerState("ready", state.pipeline, ready.failures, devices, ready.model or state.model))
            case Ready() as ready:
                self._policy.ready(time.monotonic())
                devices = {ready.pipeline: ready.device}
                self._publish(
                    WorkerState(
                        "ready", ready.pipeline, ready.failures, devices, ready.model, load_failed=state.load_failed
                    )
                )
            case Loaded() as loaded:
                devices = state.devices | {loaded.pipeline: loaded.device}
                self._publish(replace(state, devices=devices, model=loaded.model or state.model))
            case LoadFailed() as failed:
                self._publish(replace(state, progress=None, switching=None, load_failed=failed))
            case unexpected:
                raise ValueError(f"{type(unexpected).__name__} on the watching connection")


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
