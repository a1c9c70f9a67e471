"""The worker's parts: messages on the wire, shared memory, and a session against a real process."""

from __future__ import annotations

import asyncio
import itertools
import os
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.backend import Progress, Report
from pipeline.errors import ApplyFailed, BackendUnavailable, PipelineError
from pipeline.frame import Frame, PixelFormat
from pipeline.policy.supervision import Pulse
from pipeline.settings import Settings
from pipeline.worker import messages
from pipeline.worker import supervisor as supervisor_module
from pipeline.worker.client import WorkerClient
from pipeline.worker.loop import Painter, Successor
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
from pipeline.worker.paint_session import PaintSession
from pipeline.worker.progress import Reporter
from pipeline.worker.shelf import Shelf
from pipeline.worker.supervisor import Supervisor, WorkerState
from tests.fakes.fault_backend import FaultBackend, State

EXAMPLES: list[messages.ToWorker | messages.FromWorker] = [
    messages.Watch(),
    messages.Open(3, Settings(prompt="blau\u00e9 🌊")),
    messages.Apply(4, Settings()),
    messages.Submit(1, 2, 640, 480, PixelFormat.I420),
    messages.LoadModel("diffusion", "sd-turbo"),
    messages.Ping(),
    messages.Pong(Pulse("painting", 0.5, 0.03, loads=False)),
    messages.Loading("net", 1, 2, "files", 2.5),
    messages.Ready("effects", {"neural-style": "no wheel"}, "cpu", None),
    messages.Loaded("diffusion", "NVIDIA H100", "sd-turbo"),
    messages.LoadFailed("sd-turbo", "model_load_failed", "why", "fix"),
    messages.Failed("model_load_failed", "why", "fix"),
    messages.Applied(2, ["a note"], ["steps"]),
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
    settings = Settings.model_validate({"prompts": prompts, "negative_prompt": "🌊" * 290})
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
        for slot in (-1, SLOTS):
            with pytest.raises(ValueError, match="no 4x4 picture"):
                memory.frame(slot, 4, 4, PixelFormat.RGB24)
        assert memory.frame(SLOTS - 1, 1920, 1088, PixelFormat.RGB24).data.size == MAX_PIXELS * 3
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
    codes: list[str] = field(default_factory=list)

    def painted(self, done: Done, frame: Frame) -> None:
        self.painted_values.append((done.sequence, int(frame.data[0])))
        self.errors.append(done.error)
        self.codes.append(done.code)
        self.news.set()

    def dropped(self, sequence: int) -> None:
        self.dropped_sequences.append(sequence)
        self.news.set()

    def applied(self, applied: messages.Applied) -> None:
        self._note(f"applied {applied.version}")

    def rejected(self, rejected: Rejected) -> None:
        self._note(f"rejected {rejected.version} {rejected.code}")

    def connected(self) -> None:
        self._note("connected")

    def stalled(self) -> None:
        self._note("stalled")

    def lost(self, guilty: bool) -> None:
        self._note("guilty" if guilty else "lost")

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
    phases = [phase for phase, _ in itertools.groupby(state.phase for state in states)]
    assert [phase for phase in phases if phase != "loading"] == ["ready", "down", "ready"]
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


async def test_what_the_whole_group_is_told_does_not_end_the_worker() -> None:
    supervisor = Supervisor(["identity"], "tests.fakes.fault_backend")
    supervisor.start()
    log = Log()
    client = WorkerClient(supervisor, log, Settings(pipeline="identity"), 1)
    await log.until("applied 1")
    assert supervisor.pid
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(supervisor.pid, number)
    for count in range(1, 4):
        client.submit(Flat(7))
        await log.answers(count)
    assert [value for _, value in log.painted_values] == [7, 7, 7]
    await client.close()
    await supervisor.close()


async def test_who_leaves_while_the_worker_is_at_work_for_it_is_not_guilty_and_whose_worker_dies_is() -> None:
    class Hesitant(WorkerClient):
        """It rests and wakes again while it connects."""

        async def _connect(self, memory: FrameMemory) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            connection = await super()._connect(memory)
            self.rest()
            self.wake()
            return connection

    supervisor = Supervisor(["fault"], "tests.fakes.fault_backend")
    supervisor.start()
    log = Log()
    client = Hesitant(supervisor, log, Settings(pipeline="fault", prompt="slow 20"), 1)

    async def at_work() -> None:
        await log.until("applied 1")
        log.events.clear()
        client.submit(Flat(1))
        async with asyncio.timeout(15):
            while not (client._memory and client._memory.at_work):
                await asyncio.sleep(0.01)

    await at_work()
    assert supervisor.pid
    os.kill(supervisor.pid, signal.SIGKILL)
    await log.until("lost")
    assert client._blame.is_suspect
    await at_work()
    await client.close()
    assert log.events == ["lost"]
    await supervisor.close()


async def test_every_slot_comes_back_whatever_became_of_its_picture() -> None:
    supervisor = Supervisor(["fault"], "tests.fakes.fault_backend")
    supervisor.start()
    log = Log()
    client = WorkerClient(supervisor, log, Settings(pipeline="fault", prompt="slow 0.02"), 1)
    await log.until("applied 1")
    for turn in range(1, 6):
        assert None not in [client.submit(Flat(1)) for _ in range(SLOTS)]
        assert client.submit(Flat(1)) is None
        await log.answers(turn * SLOTS)
    assert log.dropped_sequences
    await client.close()
    await supervisor.close()


async def test_new_worker_starts_with_what_was_kept_and_with_every_slot_free() -> None:
    supervisor = Supervisor(["fault"], "tests.fakes.fault_backend")
    supervisor.start()
    log = Log()
    client = WorkerClient(supervisor, log, Settings(pipeline="fault"), 1)
    await log.until("applied 1")
    client.apply(2, Settings(pipeline="fault", prompt="slow 5"))
    await log.until("applied 2")
    assert None not in [client.submit(Flat(1)) for _ in range(SLOTS - 1)]
    client.keep(1, Settings(pipeline="fault"))
    assert supervisor.pid
    os.kill(supervisor.pid, signal.SIGKILL)
    await log.until("lost")
    log.events.clear()
    await log.until("applied 1")
    assert None not in [client.submit(Flat(1)) for _ in range(SLOTS)]
    await log.answers(SLOTS)
    await client.close()
    await supervisor.close()


async def test_pipeline_that_fails_on_its_first_frame_gives_way_to_the_next() -> None:
    supervisor = Supervisor(["unable", "identity"], "tests.fakes.fault_backend")
    supervisor.start()
    async with asyncio.timeout(15):
        while supervisor.state.phase != "ready":
            await asyncio.sleep(0.01)
    assert supervisor.state.pipeline == "identity"
    assert "no kernel image" in supervisor.state.failures["unable"]
    await supervisor.close()


HALF_A_LINE = "import socket, sys; socket.socket(fileno=int(sys.argv[2])).accept()[0].sendall(b'{')"


@pytest.mark.logs_errors("cannot be started")
@pytest.mark.parametrize("command", [("/bin/true",), ("/no/such/program",), (sys.executable, "-c", HALF_A_LINE)])
async def test_supervisor_outlives_whatever_its_process_does(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor = Supervisor(["identity"])
    monkeypatch.setattr(supervisor, "_command", command)
    supervisor.start()
    async with asyncio.timeout(15):
        while supervisor.restarts < 3:
            await asyncio.sleep(0.01)
    await supervisor.close()


async def test_process_that_will_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.worker.supervisor.STOP_TIMEOUT", 0.2)
    supervisor = Supervisor(["identity"])
    monkeypatch.setattr(supervisor, "_command", (sys.executable, "-c", "import time; time.sleep(60)"))
    supervisor.start()
    async with asyncio.timeout(15):
        while supervisor.pid is None:
            await asyncio.sleep(0.01)
    async with asyncio.timeout(5):
        await supervisor.close()


DEAF = """
import socket, sys, time
watching = socket.socket(fileno=int(sys.argv[2])).accept()[0]
watching.sendall(b"no message" + bytes([10]))
time.sleep(60)
"""


async def test_closed_while_a_process_is_being_ended_no_other_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    ending, end = asyncio.Event(), supervisor_module._end

    async def end_and_tell(process: asyncio.subprocess.Process) -> None:
        ending.set()
        await end(process)

    monkeypatch.setattr(supervisor_module, "_end", end_and_tell)
    supervisor = Supervisor(["identity"])
    monkeypatch.setattr(supervisor, "_command", (sys.executable, "-c", DEAF))
    supervisor.start()
    async with asyncio.timeout(15):
        await ending.wait()
        await supervisor.close()
    assert supervisor.restarts == 0


@dataclass
class Answers:
    """A painter in this process, and what it says."""

    make: Callable[[str, str | None], FaultBackend]
    said: SimpleQueue[messages.FromWorker] = field(default_factory=SimpleQueue)

    def __enter__(self) -> Answers:
        self.shelf = Shelf(self.make)
        self.painter = Painter(self.shelf)
        self.painter.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.painter.close(5)
        self.shelf.close()

    def session(self, pipeline: str) -> PaintSession:
        session = PaintSession(FrameMemory.create(), self.said.put)
        self.painter.add(session, messages.Open(0, Settings(pipeline=pipeline)))
        return session

    def next(self) -> messages.FromWorker:
        return self.said.get(timeout=5)


def submit(sequence: int) -> messages.Submit:
    return messages.Submit(sequence, 0, 4, 4, PixelFormat.RGB24)


class Patient(FaultBackend):
    """Paints, or loads, when it may."""

    def __init__(self) -> None:
        self.begun, self.may = threading.Event(), threading.Event()

    def step(self, batch: Sequence[tuple[State, Frame]]) -> list[Frame | PipelineError]:
        self.begun.set()
        self.may.wait(5)
        return super().step(batch)


def test_session_that_leaves_while_it_is_painted_takes_nobody_along() -> None:
    backend = Patient()
    with Answers(lambda name, model: backend) as answers:
        goner = answers.session("fault")
        assert isinstance(answers.next(), messages.Applied)
        answers.painter.submit(goner, submit(1))
        assert backend.begun.wait(5)
        answers.painter.submit(goner, submit(2))
        answers.painter.remove(goner)
        goner.memory.close()
        backend.may.set()
        stayer = answers.session("fault")
        assert isinstance(answers.next(), messages.Applied)
        answers.painter.submit(stayer, submit(3))
        done = answers.next()
        assert isinstance(done, Done)
        assert (done.sequence, done.error) == (3, None)
        stayer.memory.close()


class TooLarge(FaultBackend):
    def step(self, batch: Sequence[tuple[State, Frame]]) -> list[Frame | PipelineError]:
        return [Frame.from_rgb(np.zeros((MAX_SIDE, MAX_SIDE, 3), np.uint8))]


@pytest.mark.logs_errors("a picture could not be answered")
def test_result_that_does_not_fit_is_an_error_and_gives_the_slot_back(caplog: pytest.LogCaptureFixture) -> None:
    with Answers(lambda name, model: TooLarge()) as answers:
        session = answers.session("fault")
        assert isinstance(answers.next(), messages.Applied)
        for sequence in (1, 2):
            answers.painter.submit(session, submit(sequence))
            done = answers.next()
            assert isinstance(done, Done)
            assert (done.sequence, done.slot, done.width, bool(done.error)) == (sequence, 0, 4, True)
        session.memory.close()
    caplog.clear()  # its tracebacks hold the memory


def test_fast_session_does_not_starve_another() -> None:
    backend = Patient()
    with Answers(lambda name, model: backend) as answers:
        fast, slow = answers.session("fault"), answers.session("fault")
        answers.next()
        answers.next()
        order: list[int] = []
        answers.painter.submit(fast, submit(1))
        assert backend.begun.wait(5)
        answers.painter.submit(slow, submit(100))
        for sequence in range(2, 5):
            answers.painter.submit(fast, submit(sequence))
        backend.may.set()
        while len(order) < 3:
            answer = answers.next()
            if isinstance(answer, Done):
                order.append(answer.sequence)
        assert order == [1, 100, 4]
        fast.memory.close()
        slow.memory.close()


class SlowLoad(Patient):
    def load(self, report: Report) -> None:
        self.may.wait(5)


def test_pictures_before_the_pipeline_is_loaded_say_so_and_newer_settings_end_the_wait() -> None:
    slow, quick, made = SlowLoad(), FaultBackend(), []

    def make(name: str, model: str | None) -> FaultBackend:
        made.append(name)
        return slow if name == "slow" else quick

    with Answers(make) as answers:
        answers.shelf.load("quick", lambda progress: None)
        session, other = answers.session("slow"), answers.session("slow")
        answers.painter.submit(session, submit(1))
        done = answers.next()
        assert isinstance(done, Done)
        assert (done.code, bool(done.error)) == ("model_loading", True)
        answers.painter.apply(session, messages.Apply(7, Settings(pipeline="quick")))
        applied = answers.next()
        assert isinstance(applied, messages.Applied)
        assert applied.version == 7
        slow.may.set()
        assert answers.next() == messages.Applied(0, ["prompt is "])  # the other's; nothing more of the first
        answers.painter.submit(session, submit(2))
        done = answers.next()
        assert isinstance(done, Done)
        assert (done.sequence, done.version) == (2, 7)
        assert made == ["quick", "slow"]
        session.memory.close()
        other.memory.close()


def test_settings_that_waited_for_a_load_never_overtake_newer_ones() -> None:
    shelf = Shelf()
    shelf.load("identity", lambda progress: None)
    memory, answers = FrameMemory.create(), queue.SimpleQueue[messages.FromWorker]()
    session = PaintSession(memory, answers.put, parked=messages.Apply(1, Settings(pipeline="identity", seed=1)))
    painter = Painter(shelf)
    painter.add(session, messages.Open(2, Settings(pipeline="identity", seed=2)))
    painter._load_ended()  # the load has ended and newer settings have come before the next round
    painter.start()
    versions = [
        answer.version for answer in (answers.get(timeout=5), answers.get(timeout=5)) if hasattr(answer, "version")
    ]
    painter.close(5)
    shelf.close()
    memory.close()
    assert versions == [1, 2]
    assert session.settings is not None
    assert session.settings.seed == 2


class Model(FaultBackend):
    """Notes in which thread it is closed, and when."""

    def __init__(self, events: list[str], name: str) -> None:
        self.events, self.called = events, name

    def notes(self, state: State) -> list[str]:
        if state.prompt == self.called:
            raise ApplyFailed("not with this one")
        return [self.called]

    def step(self, batch: Sequence[tuple[State, Frame]]) -> list[Frame | PipelineError]:
        self.events.append(f"{self.called} paints")
        return super().step(batch)

    def close(self) -> None:
        self.events.append(f"{self.called} closed in {threading.current_thread().name}")


def test_a_successor_takes_over_between_two_frames_and_the_old_one_is_closed_elsewhere() -> None:
    events: list[str] = []
    with Answers(lambda name, model: Model(events, model or "old")) as answers:
        stays, refused, elsewhere = (PaintSession(FrameMemory.create(), answers.said.put) for _ in range(3))
        for session, settings in {
            stays: Settings(pipeline="fault", seed=7),
            refused: Settings(pipeline="fault", prompt="new"),
            elsewhere: Settings(pipeline="other"),
        }.items():
            answers.painter.add(session, messages.Open(3, settings))
            assert answers.next() == messages.Applied(3, ["old"])
        backend = answers.shelf.load_beside("fault", "new", lambda progress: None).result(5)
        assert events == ["new paints"]
        taken = threading.Event()
        answers.painter.replace(Successor(backend, "new", taken.set))
        assert taken.wait(5)
        told = [answers.next(), answers.next()]
        assert messages.Applied(3, ["new"]) in told
        assert messages.Rejected(3, "apply_failed", "not with this one", "") in told
        assert answers.said.empty()
        for session, error in {stays: None, refused: "not with this one", elsewhere: None}.items():
            answers.painter.submit(session, submit(1))
            done = answers.next()
            assert isinstance(done, Done)
            assert (done.version, done.error) == (3, error)
        answers.painter.apply(refused, messages.Apply(4, Settings(pipeline="fault", prompt="fine")))
        assert answers.next() == messages.Applied(4, ["new"])
        for session in (stays, refused, elsewhere):
            session.memory.close()
        answers.shelf.load_beside("fault", "last", lambda progress: None).result(5)  # which waits for the close
    assert "old closed in load_0" in events
    assert [event for event in events if "paints" in event] == ["new paints", "new paints", "old paints", "last paints"]


def test_what_fails_while_it_is_loaded_beside_is_told_and_closed() -> None:
    events: list[str] = []

    class Unable(Model):
        def step(self, batch: Sequence[tuple[State, Frame]]) -> list[Frame | PipelineError]:
            return [PipelineError("no kernel image")]

    shelf = Shelf(lambda name, model: Unable(events, "unable"))
    with pytest.raises(BackendUnavailable, match="first frame: no kernel image"):
        shelf.load_beside("fault", "x", lambda progress: None).result(5)
    assert events == ["unable closed in load_0"]
    shelf.close()


def test_progress_becomes_few_messages_with_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[messages.Loading] = []
    now = 0.0
    monkeypatch.setattr("pipeline.worker.progress.time", SimpleNamespace(monotonic=lambda: now))
    report = Reporter(told.append, "net")
    for step in range(401):
        now = step / 100
        report(Progress("download", step, 1000, "kB"))
    report(Progress("weights"))
    assert len(told) == 17 + 1
    assert told[0] == messages.Loading("net: download", 0, 1000, "kB")
    assert told[16] == messages.Loading("net: download", 400, 1000, "kB", 6.0)
    assert told[17] == messages.Loading("net: weights", 0, 0, "")


@pytest.mark.parametrize(("prompt", "code"), [("oom", "gpu_oom"), ("nan", "internal")])
async def test_a_frame_without_a_picture_is_an_error_and_the_worker_goes_on(prompt: str, code: str) -> None:
    supervisor = Supervisor(["fault"], "tests.fakes.fault_backend")
    supervisor.start()
    log = Log()
    client = WorkerClient(supervisor, log, Settings(pipeline="fault", prompt=prompt), 1)
    await log.until("applied 1")
    client.submit(Flat(9))
    await log.answers(1)
    assert (log.painted_values, log.codes) == ([(0, 9)], [code])
    client.apply(2, Settings(pipeline="fault", prompt="fine"))
    await log.until("applied 2")
    client.submit(Flat(9))
    await log.answers(2)
    assert (log.painted_values[1], log.errors[1]) == ((1, 246), None)
    await client.close()
    await supervisor.close()


@pytest.mark.logs_errors("has lost its device")
async def test_a_lost_device_ends_the_process_once_the_frames_are_answered(caplog: pytest.LogCaptureFixture) -> None:
    supervisor = Supervisor(["fault"], "tests.fakes.fault_backend")
    supervisor.start()
    log = Log()
    client = WorkerClient(supervisor, log, Settings(pipeline="fault", prompt="lost"), 1)
    await log.until("applied 1")
    client.submit(Flat(9))
    await log.until("lost")
    assert (log.painted_values, log.codes) == ([(0, 9)], ["worker_restarting"])
    log.events.clear()
    await log.until("applied 1")
    assert "the worker has lost its device" in caplog.text
    await client.close()
    await supervisor.close()


@pytest.mark.parametrize("line", [b'{"type":"watch"}\n', b'{"type":"load_model","pipeline":"x","model":"y"}\n' * 2])
async def test_nonsense_on_the_watching_connection_ends_that_and_nothing_else(line: bytes) -> None:
    supervisor = Supervisor(["identity"], "tests.fakes.fault_backend")
    supervisor.start()
    async with asyncio.timeout(15):
        while supervisor.state.phase != "ready":
            await asyncio.sleep(0.01)
        pid = supervisor.pid
        reader, writer = await asyncio.open_unix_connection(supervisor.path)
        writer.write(b"\n" + messages.encode(messages.Watch()) + line)
        assert isinstance(messages.decode_from_worker(await reader.readline()), messages.Ready)
        await reader.read()
        writer.close()
        assert (supervisor.pid, supervisor.state.phase) == (pid, "ready")
    await supervisor.close()
