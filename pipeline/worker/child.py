"""The worker process: serves sessions over a Unix socket, paints in one thread, and ends when its parent does.

Started by `supervisor.py` as `python -m pipeline.worker.child`, with the listening socket inherited. Standard input
is the parent's life line: its end means stop.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable

import cv2
import numpy as np

from pipeline.backend import Progress
from pipeline.errors import BackendUnavailable, PipelineError
from pipeline.frame import Frame
from pipeline.settings import Settings
from pipeline.worker.loop import Painter, PaintSession
from pipeline.worker.memory import receive_memory
from pipeline.worker.messages import (
    MAX_LINE,
    Apply,
    Failed,
    FromWorker,
    Loading,
    Open,
    Ready,
    Submit,
    Watch,
    decode_to_worker,
    encode,
)
from pipeline.worker.shelf import Shelf

HELLO_TIMEOUT = 5.0  # seconds for a new connection to say what it is
ACCEPT_RETRY = 0.5  # seconds
CLOSE_TIMEOUT = 2.0  # seconds for the frame in flight when the worker stops

logger = logging.getLogger("pipeline.worker")


class Status:
    """The last word on how the worker is, told to every watcher, late ones included."""

    def __init__(self) -> None:
        self._last: FromWorker = Loading("start", 0, 0, "")
        self._watchers: set[asyncio.StreamWriter] = set()

    def tell(self, message: FromWorker) -> None:
        self._last = message
        for writer in self._watchers:
            writer.write(encode(message))

    async def watch(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(encode(self._last))
        self._watchers.add(writer)
        try:
            await reader.read()
        finally:
            self._watchers.discard(writer)


class Worker:
    def __init__(self, pipelines: list[str], shelf: Shelf) -> None:
        self._pipelines = pipelines
        self._shelf = shelf
        self._painter = Painter(shelf)
        self._status = Status()
        self._connections: set[asyncio.Task[None]] = set()

    async def serve(self, listener: socket.socket, stop: asyncio.Event) -> None:
        """Accept sessions while the first pipeline loads, until `stop` is set."""
        accepting = asyncio.create_task(self._accept(listener))
        loading = asyncio.create_task(self._load())
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((loading, stopped), return_when=asyncio.FIRST_COMPLETED)
            if loading.done():
                if not loading.result():
                    stop.set()
                else:
                    self._painter.start()
            await stopped
        finally:
            accepting.cancel()
            for task in self._connections:
                task.cancel()
            self._painter.close(CLOSE_TIMEOUT)

    async def _load(self) -> bool:
        """Load the first pipeline of the list that can be loaded, and paint a frame with it."""
        loop = asyncio.get_running_loop()
        failure = PipelineError("no pipeline was asked for")
        for name in self._pipelines:

            def report(progress: Progress, name: str = name) -> None:
                message = Loading(f"{name}: {progress.stage}", progress.done, progress.total, progress.unit)
                loop.call_soon_threadsafe(self._status.tell, message)

            try:
                await asyncio.to_thread(self._prove, name, report)
            except PipelineError as error:
                logger.error("pipeline %s cannot be used: %s", name, error.message)
                failure = error
                continue
            self._status.tell(Ready(name, self._shelf.failures()))
            return True
        self._status.tell(Failed(failure.code, failure.message, failure.fix))
        await asyncio.sleep(0.1)  # the watchers are to hear it before the process ends
        return False

    def _prove(self, name: str, report: Callable[[Progress], None]) -> None:
        backend = self._shelf.load(name, report)
        settings = Settings(pipeline=name)
        blank = Frame.from_rgb(np.full((settings.height, settings.width, 3), 128, np.uint8))
        try:
            [result] = backend.step([(backend.new_state(settings), blank)])
            if isinstance(result, PipelineError):
                raise result
        except Exception as error:  # foreign code: whatever it raises, the next of the list is tried
            failure = BackendUnavailable(f"{name} failed on its first frame: {type(error).__name__}: {error}")
            self._shelf.give_up(name, failure)
            raise failure from error

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
                await self._status.watch(reader, writer)
            elif isinstance(hello, Open) and memory is not None:
                await self._session(PaintSession(memory, self._answer_to(writer)), hello, reader)
        except (ValueError, TimeoutError, ConnectionError) as error:
            logger.warning("connection ended: %s", type(error).__name__)
        finally:
            if memory is not None:
                memory.close()
            writer.close()

    @staticmethod
    def _answer_to(writer: asyncio.StreamWriter) -> Callable[[FromWorker], None]:
        loop = asyncio.get_running_loop()

        def answer(message: FromWorker) -> None:
            loop.call_soon_threadsafe(writer.write, encode(message))

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


async def _run(pipelines: list[str], listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # Ctrl-C reaches the whole group; the parent decides
    life_line = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(life_line), sys.stdin)
    watching = asyncio.create_task(life_line.read())
    watching.add_done_callback(lambda _: stop.set())
    await Worker(pipelines, Shelf()).serve(listener, stop)
    watching.cancel()
    sys.stderr.flush()
    os._exit(0)  # a load or a model that hangs in some library's thread must not keep the process


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listener", type=int, required=True, help="file descriptor of the listening socket")
    parser.add_argument("--pipelines", required=True, help="comma-separated, the first that loads is used")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    cv2.setNumThreads(1)  # one frame is one core; the video codecs need the others
    listener = socket.socket(fileno=arguments.listener)
    listener.setblocking(False)
    asyncio.run(_run(arguments.pipelines.split(","), listener))


if __name__ == "__main__":
    main()
