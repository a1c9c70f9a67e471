"""The worker's parts: messages on the wire, shared memory, and a session against a real process."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from dataclasses import dataclass, field

import pytest

from pipeline.frame import Frame, PixelFormat
from pipeline.settings import Settings
from pipeline.worker import messages
from pipeline.worker.client import WorkerClient
from pipeline.worker.memory import (
    MAX_PIXELS,
    MAX_SIDE,
    SLOTS,
    FrameMemory,
    fits,
    receive_memory,
    send_memory,
)
from pipeline.worker.messages import Done, Rejected
from pipeline.worker.supervisor import Supervisor, WorkerState

EXAMPLES: list[messages.ToWorker | messages.FromWorker] = [
    messages.Watch(),
    messages.Open(3, Settings(prompt="blau\u00e9 🌊")),
    messages.Apply(4, Settings()),
    messages.Submit(1, 2, 640, 480, PixelFormat.I420),
    messages.Loading("net", 1, 2, "files"),
    messages.Ready("effects", {"neural-style": "no wheel"}),
    messages.Failed("model_load_failed", "why", "fix"),
    messages.Applied(2, ["a note"]),
    messages.Rejected(2, "apply_failed", "why", "fix"),
    messages.Done(1, 0, 512, 512, 3, 0.25, 0.5, "effects"),
    messages.Dropped(1, 0),
]


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
def test_messages_come_through_on_one_line(message: messages.ToWorker | messages.FromWorker) -> None:
    line = messages.encode(message)
    assert line.count(b"\n") == 1
    decode = messages.decode_to_worker if isinstance(message, messages.ToWorker) else messages.decode_from_worker
    assert decode(line) == message


@pytest.mark.parametrize("line", [b"", b"{}", b"[]\n", b'{"type":"submit"}', b'{"type":"explode"}', b'{"type":"watch"'])
def test_broken_messages_are_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match="validation error"):
        messages.decode_to_worker(line)


def test_longest_settings_fit_a_line() -> None:
    prompts = [{"text": "\u0101" * 1000, "weight": 1.0}] * 4
    settings = Settings.model_validate({"prompts": prompts, "negative_prompt": "🌊" * 1000})
    assert len(messages.encode(messages.Open(1, settings))) < messages.MAX_LINE


@pytest.mark.parametrize(
    ("width", "height", "fit"),
    [(1920, 1088, True), (1921, 1088, False), (MAX_SIDE, 10, True), (MAX_SIDE + 1, 1, False), (0, 5, False)],
)
def test_size_limit(width: int, height: int, fit: bool) -> None:
    assert fits(width, height) is fit
    assert 1920 * 1088 == MAX_PIXELS


def test_memory_is_shared_over_a_socket_and_has_no_name() -> None:
    here, there = socket.socketpair()
    memory = FrameMemory.create()
    with here, there:
        send_memory(here, memory)
        other = receive_memory(there)
        assert other
        frame = memory.frame(1, 4, 4, PixelFormat.RGB24)
        frame.data[:] = 77
        assert other.frame(1, 4, 4, PixelFormat.RGB24).data.tolist() == [77] * 48
        assert not other.frame(0, 4, 4, PixelFormat.RGB24).data.any()
        with pytest.raises(ValueError, match="no 4x4 picture"):
            memory.frame(SLOTS, 4, 4, PixelFormat.RGB24)
        here.sendall(b"x")
        with pytest.raises(ConnectionError):
            receive_memory(there)
        del frame
        memory.close()
        other.close()
        with pytest.raises(ValueError, match="no 4x4 picture"):
            memory.frame(0, 4, 4, PixelFormat.RGB24)


@dataclass
class Flat:
    """A picture of one grey."""

    value: int
    width: int = 64
    height: int = 48
    format: PixelFormat = PixelFormat.RGB24

    def write_into(self, frame: Frame) -> None:
        frame.data[:] = self.value


@dataclass
class Log:
    """A session that only listens."""

    painted_values: list[tuple[int, int]] = field(default_factory=list)
    dropped_sequences: list[int] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    errors: list[str | None] = field(default_factory=list)

    def painted(self, done: Done, frame: Frame) -> None:
        self.painted_values.append((done.sequence, int(frame.data[0])))
        self.errors.append(done.error)
        self.news.set()

    def dropped(self, sequence: int) -> None:
        self.dropped_sequences.append(sequence)
        self.news.set()

    def applied(self, version: int, notes: list[str]) -> None:
        self._note(f"applied {version}")

    def rejected(self, rejected: Rejected) -> None:
        self._note(f"rejected {rejected.version} {rejected.code}")

    def connected(self) -> None:
        self._note("connected")

    def lost(self) -> None:
        self._note("lost")

    def _note(self, event: str) -> None:
        self.events.append(event)
        self.news.set()

    async def until(self, event: str) -> None:
        async with asyncio.timeout(15):
            while event not in self.events:
                self.news.clear()
                await self.news.wait()

    async def answers(self, count: int) -> None:
        async with asyncio.timeout(15):
            while len(self.painted_values) + len(self.dropped_sequences) < count:
                self.news.clear()
                await self.news.wait()


async def test_a_session_with_a_real_worker() -> None:
    supervisor = Supervisor(["identity"], "tests.fakes.fault_backend")
    states: list[WorkerState] = []
    supervisor.subscribe(states.append)
    supervisor.start()
    log = Log()
    client = WorkerClient(supervisor, log, Settings(pipeline="fault"), 5)
    assert client.submit(Flat(1)) is None
    await log.until("applied 5")
    assert client.submit(Flat(55)) == 0
    await log.answers(1)
    assert log.painted_values == [(0, 200)]

    client.apply(6, Settings(pipeline="fault", prompt="reject"))
    await log.until("rejected 6 apply_failed")
    client.apply(7, Settings(pipeline="broken"))
    await log.until("rejected 7 model_load_failed")
    client.apply(8, Settings(pipeline="fault", prompt="raise"))
    await log.until("applied 8")
    client.submit(Flat(9))
    await log.answers(2)
    assert log.painted_values[-1] == (1, 9)  # unpainted
    assert log.errors[-1]

    client.apply(9, Settings(pipeline="fault", prompt="slow 0.2"))
    await log.until("applied 9")
    sequences = [client.submit(Flat(value)) for value in range(10, 13)]
    await log.answers(5)
    assert sequences == [2, 3, 4]
    assert 4 in [sequence for sequence, _ in log.painted_values]  # the newest is painted whatever is dropped
    assert log.dropped_sequences

    assert supervisor.pid
    os.kill(supervisor.pid, signal.SIGKILL)
    await log.until("lost")
    log.events.clear()
    await log.until("applied 9")
    assert [state.phase for state in states if state.phase != "loading"] == ["ready", "down", "ready"]
    await client.close()
    await supervisor.close()


async def test_stopped_while_it_loads(capfd: pytest.CaptureFixture[str]) -> None:
    supervisor = Supervisor(["slow-to-load"], "tests.fakes.fault_backend")
    supervisor.start()
    async with asyncio.timeout(15):
        while supervisor.state.progress is None:
            await asyncio.sleep(0.01)
    begun = time.monotonic()
    await supervisor.close()
    assert time.monotonic() - begun < 3
    assert "Traceback" not in capfd.readouterr().err


async def test_worker_ends_when_its_parent_is_gone() -> None:
    supervisor = Supervisor(["identity"], "tests.fakes.fault_backend")
    supervisor.start()
    async with asyncio.timeout(15):
        while supervisor.state.phase != "ready":
            await asyncio.sleep(0.01)
    pid = supervisor.pid
    assert pid
    await supervisor.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
