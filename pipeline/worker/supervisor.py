"""The parent's half of the worker: starts the process, hears how it is, starts it again when it dies.

It decides nothing about time itself (`policy/supervision.py` does) and knows nothing of sessions: those connect to
`path` on their own (`client.py`) and are told of each change through `subscribe`. It remembers which model was loaded
last, and the next worker starts with that, unless one could not.
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

from pipeline.policy import supervision
from pipeline.policy.supervision import LOOP_DEATHS, Rest, Supervision, Verdict
from pipeline.worker.messages import (
    EXIT_DEVICE_LOST,
    MAX_LINE,
    Failed,
    FromWorker,
    Loaded,
    LoadFailed,
    Loading,
    LoadModel,
    Ping,
    Pong,
    Ready,
    Watch,
    decode_from_worker,
    encode,
)

WORKER_MODULE = "pipeline.worker.child"
STOP_TIMEOUT = 5.0  # seconds to end by itself before it is killed
BACKLOG = 128  # connections waiting to be accepted

ENDED = "The picture process ended."

logger = logging.getLogger(__name__)

Phase = Literal["loading", "ready", "stalled", "down", "failed"]


@dataclass(frozen=True)
class WorkerState:
    """How the worker is. `pipeline` is the one it started with, once it was ready.

    `stalled` is ready, but nothing comes out of it for the moment. `failed` has a `code`: `model_load_failed` where
    nothing could be loaded, `worker_restarting` where it ended too often. `loads`: something is loaded beside what
    paints. `switching` is the model that is, `progress` then is its; `load_failed` says what became of the last such
    wish, if it failed.
    """

    phase: Phase
    pipeline: str | None = None
    failures: dict[str, str] = field(default_factory=dict)
    devices: dict[str, str] = field(default_factory=dict)  # of the pipelines that are loaded
    model: str | None = None  # that is loaded, by its own name; None without one
    progress: Loading | None = None
    loads: bool = False
    switching: str | None = None
    load_failed: LoadFailed | None = None
    code: str = ""
    message: str = ""
    fix: str = ""
    retry_in: float | None = None  # seconds

    @property
    def is_up(self) -> bool:
        """It has painted, and has not ended."""
        return self.phase in ("ready", "stalled")


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
        self.load_seconds: float | None = None  # that the last load took which came to its end
        self._load_begun = 0.0
        self._command = (sys.executable, "-m", module, "--pipelines", ",".join(pipelines))
        self._environment = os.environ | dict(environment or {})
        self._folder = Path(tempfile.mkdtemp(prefix="live-diffusion-"))
        self._listeners: list[Listener] = []
        self._supervision = Supervision()
        self._task: asyncio.Task[None] | None = None
        self._asked_for: LoadModel | None = None
        self._wish: LoadModel | None = None  # what was last loaded; None: the worker's own choice
        self._watching: asyncio.StreamWriter | None = None

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
        self._asked_for, self._load_begun = LoadModel(pipeline, model), time.monotonic()
        self._watching.write(encode(self._asked_for))
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
            rest = self._supervision.died(time.monotonic())
            logger.warning("worker ended; the next one starts in %.1f s", rest.delay)
            self._publish(self._after_death(failed, rest))
            self.restarts += 1
            await asyncio.sleep(rest.delay)

    def _after_death(self, failed: Failed | None, rest: Rest) -> WorkerState:
        delay, wanted = rest.delay, self.state.switching
        if wanted is not None:  # what failed is the model, not the worker, which did work before
            why = failed.message if failed else "the picture process ended while it was being loaded"
            load_failed = LoadFailed(wanted, "model_load_failed", why, "Choose a smaller model, or see the log.")
            return WorkerState("down", message=ENDED, load_failed=load_failed, retry_in=delay)
        if self._wish is not None and not self.state.is_up:
            return WorkerState("down", message=ENDED, load_failed=self._forget_wish(failed), retry_in=delay)
        if failed:
            return WorkerState("failed", code=failed.code, message=failed.message, fix=failed.fix, retry_in=delay)
        if rest.looping:
            message = f"It ended {LOOP_DEATHS} times within a minute."
            return WorkerState("failed", code="worker_restarting", message=message, retry_in=delay)
        return WorkerState("down", message=ENDED, load_failed=self.state.load_failed, retry_in=delay)

    def _forget_wish(self, failed: Failed | None) -> LoadFailed:
        """The model that a client had loaded cannot be had any more: the next worker starts as the operator said."""
        assert self._wish is not None
        why = failed.message if failed else "the picture process ended while it was being loaded again"
        model, self._wish = self._wish.model, None
        logger.error("model %s cannot be loaded again: %s", model, why)
        return LoadFailed(model, "model_load_failed", why, "Load it again, or see the log.")

    async def _one_life(self) -> Failed | None:
        """From the start of a process to its end; what it said last, if that was why it cannot work."""
        try:
            process = await self._spawn()
        except OSError as error:
            logger.error("the picture process cannot be started: %s", error)
            return Failed("model_load_failed", f"the picture process cannot be started: {error.strerror}", "")
        self.pid = process.pid
        self._load_begun = time.monotonic()
        self._supervision.started(self._load_begun)
        try:
            return await self._watch(process)
        finally:
            self.pid = None
            await _end(process)
            if process.returncode == EXIT_DEVICE_LOST:
                logger.error("the worker has lost its device, or could not paint any more")

    async def _spawn(self) -> asyncio.subprocess.Process:
        """The socket is made here and inherited, so that a connection never comes too early."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(self.path)
            listener.listen(BACKLOG)
            return await asyncio.create_subprocess_exec(
                *self._command,
                "--listener",
                str(listener.fileno()),
                *(() if self._wish is None else ("--model", self._wish.model)),
                stdin=asyncio.subprocess.PIPE,
                env=self._environment,
                pass_fds=(listener.fileno(),),
            )

    async def _watch(self, process: asyncio.subprocess.Process) -> Failed | None:
        writer = None
        try:
            reader, writer = await asyncio.open_unix_connection(self.path, limit=MAX_LINE)
            writer.write(b"\n" + encode(Watch()))
            self._watching = writer
            while (line := await self._next_line(reader)) != b"":
                if line is not None:
                    message = decode_from_worker(line)
                    if failed := self._failed(message):
                        return failed
                    self._hear(message)
                verdict = self._look()
                if verdict in ("hung", "late"):
                    process.kill()
                    return Failed("model_load_failed", _too_late(), "") if verdict == "late" else None
                if self._supervision.ping(time.monotonic()):
                    writer.write(encode(Ping()))
        except (OSError, ValueError):  # it died before the connection, or in the middle of a line
            pass
        finally:
            self._watching = None
            if writer:
                writer.close()
        return None

    async def _next_line(self, reader: asyncio.StreamReader) -> bytes | None:
        """Empty at the end, None if it is time to look instead."""
        try:
            async with asyncio.timeout(self._supervision.wait(time.monotonic())):
                return await reader.readline()
        except TimeoutError:
            return None

    def _failed(self, message: FromWorker) -> Failed | None:
        """Whether the worker cannot work, or not with the model that it was started with."""
        if isinstance(message, Failed):
            return message
        if self._wish is None or self.state.is_up or not isinstance(message, Ready):
            return None
        why = message.failures.get(self._wish.pipeline)
        return Failed("model_load_failed", why, "") if why is not None else None

    def _look(self) -> Verdict:
        """What is to be done; sessions are told when it stalls, and when it goes on."""
        now = time.monotonic()
        verdict = self._supervision.look(now)
        if verdict == "well" and self.state.phase == "stalled":
            logger.warning("the worker goes on")
            self._publish(replace(self.state, phase="ready"))
        elif verdict == "stalled" and self.state.phase == "ready":
            logger.error("the worker is stalled, %s", self._supervision.last_words(now))
            self._publish(replace(self.state, phase="stalled"))
        elif verdict == "hung":
            logger.error("the worker hangs and is killed, %s", self._supervision.last_words(now))
        return verdict

    def _hear(self, message: FromWorker) -> None:
        """Raises ValueError for what does not belong here."""
        state = self.state
        match message:
            case Pong() as pong:
                self._supervision.answered(pong.pulse, time.monotonic())
                if pong.pulse.loads != state.loads:
                    self._publish(replace(state, loads=pong.pulse.loads))
            case Loading() as progress if state.is_up:
                self._publish(replace(state, progress=progress))
            case Loading() as progress:
                self._publish(WorkerState("loading", progress=progress, load_failed=state.load_failed))
            case Ready() as ready if state.is_up:  # with another model
                self._wish, self.load_seconds = self._asked_for, time.monotonic() - self._load_begun
                devices = state.devices | {ready.pipeline: ready.device}
                model = ready.model or state.model
                self._publish(WorkerState(state.phase, state.pipeline, ready.failures, devices, model))
            case Ready() as ready:
                now = time.monotonic()
                self._supervision.ready(now)
                self.load_seconds = now - self._load_begun
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


def _too_late() -> str:
    return f"nothing was painted in {supervision.LOAD_TIMEOUT:.0f} s"


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ask by the life line, then kill. Runs to its end even if cancelled meanwhile."""
    assert process.stdin
    process.stdin.close()
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_TIMEOUT):
                await process.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
