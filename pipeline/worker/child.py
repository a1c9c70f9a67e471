"""The worker process: serves sessions over a Unix socket, paints in one thread, and ends when its parent does.

Started by `supervisor.py` as `python -m pipeline.worker.child`, with the listening socket inherited. Standard input
is the parent's life line: its end means stop. On Linux the kernel kills the process with its parent, too, since what
hangs cannot read its input.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import cv2

from pipeline.backend import Backend
from pipeline.errors import DeviceLost, PipelineError, without_folders
from pipeline.worker import log
from pipeline.worker.loop import Painter, Successor
from pipeline.worker.memory import receive_memory
from pipeline.worker.messages import (
    EXIT_DEVICE_LOST,
    MAX_LINE,
    Apply,
    Failed,
    FromWorker,
    Loaded,
    LoadFailed,
    Loading,
    LoadModel,
    Open,
    Ping,
    Pong,
    Ready,
    Submit,
    Watch,
    decode_to_worker,
    encode,
)
from pipeline.worker.paint_session import PaintSession
from pipeline.worker.progress import Reporter
from pipeline.worker.proof import prove
from pipeline.worker.shelf import Shelf

HELLO_TIMEOUT = 5.0  # seconds for a new connection to say what it is
ACCEPT_RETRY = 0.5  # seconds
CLOSE_TIMEOUT = 2.0  # seconds for the frame in flight when the worker stops
PR_SET_PDEATHSIG = 1  # prctl(2)

logger = logging.getLogger("pipeline.worker")


class Status:
    """The last word on how the worker is, told to every watcher, late ones included."""

    def __init__(self) -> None:
        self.ready = False
        self._last: FromWorker = Loading("start", 0, 0, "")
        self._watchers: set[asyncio.StreamWriter] = set()

    def tell(self, message: FromWorker) -> None:
        self.ready = self.ready or isinstance(message, Ready)
        if isinstance(message, Ready) or not self.ready:  # what comes later is of the moment
            self._last = message
        for writer in self._watchers:
            writer.write(encode(message))

    def add(self, writer: asyncio.StreamWriter) -> None:
        writer.write(encode(self._last))
        self._watchers.add(writer)

    def remove(self, writer: asyncio.StreamWriter) -> None:
        self._watchers.discard(writer)


class Worker:
    """Needs a running event loop. `exit_code` is for the process, once `serve` has ended."""

    def __init__(self, pipelines: list[str], model: str | None = None) -> None:
        self.exit_code = 0
        self._loop = asyncio.get_running_loop()
        self._pipelines = pipelines
        self._shelf = Shelf(model=model, loaded=self._loaded_too, announce=self._announce_load)
        self._stop = asyncio.Event()
        self._painter = Painter(self._shelf, partial(self._loop.call_soon_threadsafe, self._device_lost))
        self._status = Status()
        self._connections: set[asyncio.Task[None]] = set()
        self._switch: asyncio.Task[None] | None = None

    def stop(self) -> None:
        self._stop.set()

    def _device_lost(self) -> None:
        self.exit_code = EXIT_DEVICE_LOST
        self._stop.set()

    async def serve(self, listener: socket.socket) -> None:
        """Accept sessions while the first pipeline loads, until `stop` is called or the device is lost."""
        accepting = asyncio.create_task(self._accept(listener))
        loading = asyncio.create_task(self._load())
        stopped = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((loading, stopped), return_when=asyncio.FIRST_COMPLETED)
            if loading.done():
                if not loading.result():
                    self._stop.set()
                else:
                    self._painter.start()
            await stopped
        finally:
            accepting.cancel()
            for task in (*self._connections, *filter(None, [self._switch])):
                task.cancel()
            self._painter.close(CLOSE_TIMEOUT)

    async def _load(self) -> bool:
        """Load the first pipeline of the list that can be loaded, and paint a frame with it."""
        failure = PipelineError("no pipeline was asked for")
        for name in self._pipelines:
            try:
                backend = await asyncio.to_thread(self._load_and_prove, name)
            except PipelineError as error:
                logger.error("pipeline %s cannot be used: %s", name, error.message)
                failure = error
                continue
            self._status.tell(Ready(name, self._shelf.failures(), backend.device, backend.model))
            return True
        self._status.tell(Failed(failure.code, failure.public, without_folders(failure.fix)))
        await asyncio.sleep(0.1)  # the watchers are to hear it before the process ends
        return False

    def _load_and_prove(self, name: str) -> Backend[Any]:
        backend = self._shelf.load(name, Reporter(self._tell_from_thread, name))
        try:
            prove(backend)
        except PipelineError as error:  # the next of the list is tried
            self._shelf.give_up(name, error)
            raise
        return backend

    def _loaded_too(self, backend: Backend[Any]) -> None:
        self._tell_from_thread(Loaded(backend.name, backend.device, backend.model))

    def _announce_load(self, begin: Callable[[], object]) -> None:
        """What is written here is on its way before the load begins, which may keep this thread from running."""

        def tell_and_begin() -> None:
            self._status.tell(self._pong())
            begin()

        self._loop.call_soon_threadsafe(tell_and_begin)

    def _pong(self) -> Pong:
        return Pong(self._painter.pulse(time.monotonic()))

    def _tell_from_thread(self, message: FromWorker) -> None:
        self._loop.call_soon_threadsafe(self._status.tell, message)

    async def _load_model(self, wanted: LoadModel) -> None:
        """Load it beside what paints, and let it take over."""
        self._status.tell(Pong(replace(self._pong().pulse, loads=True)))
        try:
            backend = await asyncio.wrap_future(
                self._shelf.load_beside(wanted.pipeline, wanted.model, Reporter(self._tell_from_thread))
            )
        except DeviceLost:
            self._device_lost()
            return
        except PipelineError as error:
            logger.error("model %s cannot be used: %s", wanted.model, error.message)
            self._status.tell(LoadFailed(wanted.model, error.code, error.public, without_folders(error.fix)))
            return
        in_place = asyncio.Event()
        taken_over = partial(self._loop.call_soon_threadsafe, in_place.set)
        self._painter.replace(Successor(backend, wanted.model, taken_over))
        await in_place.wait()
        self._status.tell(Ready(wanted.pipeline, self._shelf.failures(), backend.device, backend.model))

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError as error:  # no descriptor left, say; sessions try again, so must this
                logger.error("a connection was not accepted: %s", error)
                await asyncio.sleep(ACCEPT_RETRY)
                continue
            task = asyncio.create_task(self._connection(connection))
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)

    async def _connection(self, connection: socket.socket) -> None:
        connection.settimeout(HELLO_TIMEOUT)
        try:
            memory = await asyncio.to_thread(receive_memory, connection)
        except OSError:
            connection.close()
            return
        connection.setblocking(False)
        reader, writer = await asyncio.open_unix_connection(sock=connection, limit=MAX_LINE)
        try:
            async with asyncio.timeout(HELLO_TIMEOUT):
                hello = decode_to_worker(await reader.readline())
            if isinstance(hello, Watch):
                await self._watched(reader, writer)
            elif isinstance(hello, Open) and memory is not None:
                await self._session(PaintSession(memory, self._answer_to(writer)), hello, reader)
        except ConnectionError:
            pass  # the server cuts the connection of a session that rests, or is gone itself
        except (ValueError, TimeoutError) as error:
            logger.warning("connection ended: %s", type(error).__name__)
        finally:
            if memory is not None:
                memory.close()
            writer.close()

    async def _watched(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._status.add(writer)
        try:
            while line := await reader.readline():
                message = decode_to_worker(line)
                if isinstance(message, Ping):
                    writer.write(encode(self._pong()))
                    continue
                under_way = self._switch is not None and not self._switch.done()
                if not isinstance(message, LoadModel) or under_way or not self._status.ready:
                    raise ValueError(f"{type(message).__name__} out of turn")
                self._switch = asyncio.create_task(self._load_model(message), name="load model")
        finally:
            self._status.remove(writer)

    def _answer_to(self, writer: asyncio.StreamWriter) -> Callable[[FromWorker], None]:
        def answer(message: FromWorker) -> None:
            self._loop.call_soon_threadsafe(writer.write, encode(message))

        return answer

    async def _session(self, session: PaintSession, hello: Open, reader: asyncio.StreamReader) -> None:
        self._painter.add(session, hello)
        try:
            while line := await reader.readline():
                match decode_to_worker(line):
                    case Submit() as message:
                        self._painter.submit(session, message)
                    case Apply() as message:
                        self._painter.apply(session, message)
                    case unexpected:
                        raise ValueError(f"{type(unexpected).__name__} inside a session")
        finally:
            self._painter.remove(session)


async def _run(pipelines: list[str], model: str | None, listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    worker = Worker(pipelines, model)
    life_line = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(life_line), sys.stdin)
    watching = asyncio.create_task(life_line.read())
    watching.add_done_callback(lambda _: worker.stop())
    await worker.serve(listener)
    watching.cancel()
    sys.stderr.flush()
    os._exit(worker.exit_code)  # a load or a model that hangs in some library's thread must not keep the process


def _end_with_parent() -> None:
    """However it ends, and whatever this process is stuck in: the kernel sees to it. Linux only, see prctl(2)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def main() -> None:
    _end_with_parent()
    for number in (signal.SIGINT, signal.SIGTERM):  # they reach the whole group; the parent decides, by the life line
        signal.signal(number, signal.SIG_IGN)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listener", type=int, required=True, help="file descriptor of the listening socket")
    parser.add_argument("--pipelines", required=True, help="comma-separated, the first that loads is used")
    parser.add_argument("--model", help="for pipelines that have models; their own choice without it")
    arguments = parser.parse_args()
    log.setup()
    cv2.setNumThreads(1)  # one frame is one core; the video codecs need the others
    listener = socket.socket(fileno=arguments.listener)
    listener.setblocking(False)
    asyncio.run(_run(arguments.pipelines.split(","), arguments.model, listener))


if __name__ == "__main__":
    main()
