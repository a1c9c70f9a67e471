"""A session's face of the worker: gives it pictures and settings, hears its answers, outlives its death.

While the worker is away or stalled `submit` says no; when a new one is ready it is given the session's settings again
and the listener is told. A session that workers end of (`policy/blame.py`) stays away until it has other settings.
Belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import socket
from typing import Protocol

from pipeline.frame import Frame, PixelFormat
from pipeline.policy.blame import Blame
from pipeline.settings import Settings
from pipeline.worker.memory import SLOTS, FrameMemory, send_memory
from pipeline.worker.messages import (
    MAX_LINE,
    Applied,
    Apply,
    Done,
    Dropped,
    Open,
    Rejected,
    Submit,
    decode_from_worker,
    encode,
)
from pipeline.worker.supervisor import Supervisor, WorkerState

CONNECT_RETRY = 0.1  # seconds; the worker died between saying ready and the connection

logger = logging.getLogger(__name__)


class Picture(Protocol):
    """A picture that can be written into shared memory."""

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def format(self) -> PixelFormat: ...
    def write_into(self, frame: Frame) -> None:
        """Copy the pixels into `frame.data`; it has this picture's size and format."""


class Listener(Protocol):
    """What a session hears. Called on the event loop; must not block and must not raise."""

    def painted(self, done: Done, frame: Frame) -> None:
        """The answer to a submitted picture. `frame` is shared memory: copy it before returning."""

    def dropped(self, sequence: int) -> None: ...
    def applied(self, applied: Applied) -> None: ...
    def rejected(self, rejected: Rejected) -> None: ...
    def connected(self) -> None: ...
    def stalled(self) -> None:
        """What is in flight may never come back. If it does it is told as ever."""

    def lost(self, guilty: bool) -> None:
        """Everything in flight is gone. `guilty`: because of this session, which is kept away until other settings
        are given, by `apply` or `keep`."""


class WorkerClient:
    def __init__(
        self, supervisor: Supervisor, listener: Listener, settings: Settings, version: int, resting: bool = False
    ) -> None:
        """`resting`: the worker is not to know of the session before `wake`."""
        self._supervisor = supervisor
        self._listener = listener
        self._settings = settings
        self._version = version
        self.is_resting = resting
        self._memory: FrameMemory | None = None  # one a connection: what a lost one left behind writes on its own
        self._writer: asyncio.StreamWriter | None = None
        self._free: list[int] = []
        self._formats: dict[int, PixelFormat] = {}  # of the pictures in flight, by slot
        self._sequence = itertools.count()
        self._blame = Blame()
        self.is_kept_away = False  # until it has other settings
        self._left = False  # this connection was ended here, and not by the worker
        self._worker_changed = asyncio.Event()
        self._unsubscribe = supervisor.subscribe(self._on_worker)
        self._task = asyncio.create_task(self._run(), name="worker client")

    @property
    def is_connected(self) -> bool:
        return self._writer is not None

    @property
    def takes_pictures(self) -> bool:
        """There is a worker, and it is not stalled."""
        return self._writer is not None and self._supervisor.state.phase != "stalled"

    def submit(self, picture: Picture) -> int | None:
        """Hand the picture over; its sequence number, or None if the worker is away or has all it can hold."""
        if not self.takes_pictures or self._writer is None or self._memory is None or not self._free:
            return None
        slot = self._free.pop()
        self._formats[slot] = picture.format
        picture.write_into(self._memory.frame(slot, picture.width, picture.height, picture.format))
        sequence = next(self._sequence)
        self._writer.write(encode(Submit(sequence, slot, picture.width, picture.height, picture.format)))
        return sequence

    def apply(self, version: int, settings: Settings) -> bool:
        """Whether the worker was asked; it answers through the listener: `applied` or `rejected`, or is `lost`.

        A worker that comes later starts with these settings.
        """
        self.keep(version, settings)
        if self._writer is None:
            return False
        self._writer.write(encode(Apply(version, settings)))
        return True

    def keep(self, version: int, settings: Settings) -> None:
        """What a later worker starts with, after a change was rejected."""
        self._version, self._settings, self.is_kept_away = version, settings, False
        self._blame.changed()
        self._worker_changed.set()

    def rest(self) -> None:
        """Free all that the worker holds for this session, until `wake`; as if it were away. Repeatable."""
        self.is_resting = self._left = True
        if self._writer is not None:
            self._writer.transport.abort()
            self._writer = self._memory = None

    def wake(self) -> None:
        self.is_resting = False
        self._worker_changed.set()

    def follow(self, older: WorkerClient) -> None:
        """Take the blame over from the session whose place this one takes; who reloads a page is not another client.

        With the same settings it is kept away as `older` was.
        """
        hangs = self._supervisor.state.phase == "stalled" and older._memory is not None and older._memory.at_work
        self._blame = older._blame.handed_on(hangs)
        self.is_kept_away = older.is_kept_away and older._settings == self._settings

    async def close(self) -> None:
        self._unsubscribe()
        self._left = True
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    def _on_worker(self, state: WorkerState) -> None:
        self._worker_changed.set()
        if state.phase == "stalled" and self._writer is not None:
            self._listener.stalled()

    async def _run(self) -> None:
        while True:
            while self.is_resting or self.is_kept_away or self._supervisor.state.phase != "ready":
                self._worker_changed.clear()
                await self._worker_changed.wait()
            try:
                await self._serve()
            except (OSError, ValueError) as error:
                logger.info("connection to the worker ended: %s", type(error).__name__)
            except Exception:  # the session goes on without pictures for a moment, not for ever
                logger.exception("connection to the worker")
            await asyncio.sleep(CONNECT_RETRY)

    async def _serve(self) -> None:
        """One connection, from its first byte to its end."""
        with contextlib.closing(FrameMemory.create()) as memory:
            reader, writer = await self._connect(memory)
            try:
                if self.is_resting:
                    return
                self._left = False
                writer.write(encode(Open(self._version, self._settings, self._blame.is_suspect)))
                self._free, self._memory, self._writer = list(range(SLOTS)), memory, writer
                self._listener.connected()
                while line := await reader.readline():
                    self._hear(line, memory)
            finally:
                self._writer = self._memory = None
                writer.close()
                self.is_kept_away = self._blame.worker_ended(memory.at_work and not self._left)
                self._listener.lost(self.is_kept_away)

    async def _connect(self, memory: FrameMemory) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.setblocking(False)
            await asyncio.get_running_loop().sock_connect(connection, self._supervisor.path)
            send_memory(connection, memory)
            return await asyncio.open_unix_connection(sock=connection, limit=MAX_LINE)
        except BaseException:
            connection.close()
            raise

    def _hear(self, line: bytes, memory: FrameMemory) -> None:
        match decode_from_worker(line):
            case Done() as done:
                pixel_format = self._give_back(done.slot)
                if done.error is None and done.version == self._version:
                    self._blame.painted()
                self._listener.painted(done, memory.frame(done.slot, done.width, done.height, pixel_format))
            case Dropped() as dropped:
                self._give_back(dropped.slot)
                self._listener.dropped(dropped.sequence)
            case Applied() as applied:
                self._listener.applied(applied)
            case Rejected() as rejected:
                self._listener.rejected(rejected)
            case unexpected:
                raise ValueError(f"{type(unexpected).__name__} inside a session")

    def _give_back(self, slot: int) -> PixelFormat:
        self._free.append(slot)
        return self._formats.pop(slot)
