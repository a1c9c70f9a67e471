"""The painting loop with several sessions: who is painted together, and what each is answered."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import ClassVar

import pytest

from pipeline.errors import BadFrame, DeviceLost, OutOfMemory, PipelineError
from pipeline.frame import Frame, PixelFormat
from pipeline.policy.blame import PROVEN_AFTER
from pipeline.policy.failures import MOST_IN_A_ROW
from pipeline.settings import Settings
from pipeline.worker import flight
from pipeline.worker.loop import Painter
from pipeline.worker.memory import FrameMemory
from pipeline.worker.messages import Applied, Apply, Done, FromWorker, Open, Submit
from pipeline.worker.paint_session import PaintSession
from pipeline.worker.shelf import Shelf
from tests.fakes.fault_backend import FaultBackend, State

PATIENCE = 10.0  # seconds


class Batching(FaultBackend):
    """Paints each session in the grey of its prompt; notes its batches, and waits for `go` before each."""

    batch_limit: ClassVar[int] = 3

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.go = threading.Semaphore(0)
        self.begun = threading.Semaphore(0)

    def step(self, batch: Sequence[tuple[State, Frame]]) -> list[Frame | PipelineError]:
        self.batches.append([state.prompt for state, _ in batch])
        self.begun.release()
        assert self.go.acquire(timeout=PATIENCE)
        if any(state.prompt == "raise" for state, _ in batch):
            raise ZeroDivisionError("on command")
        return [self._grey(state, frame) for state, frame in batch]

    @staticmethod
    def _grey(state: State, frame: Frame) -> Frame | PipelineError:
        if state.prompt == "bad":
            return BadFrame("on command")
        data = frame.data.copy()
        data[:] = int(state.prompt)
        return Frame(data, frame.width, frame.height, frame.format)


class Client:
    """One session of the painter, with its answers."""

    def __init__(self, painter: Painter, prompt: str, pipeline: str = "many", suspect: bool = False) -> None:
        self._painter = painter
        self.memory = FrameMemory.create()
        self.answers: list[FromWorker] = []
        self._answered = threading.Semaphore(0)
        self.session = PaintSession(self.memory, self._take)
        painter.add(self.session, Open(1, Settings(pipeline=pipeline, prompt=prompt), suspect))
        assert isinstance(self.next(), Applied)

    def _take(self, message: FromWorker) -> None:
        self.answers.append(message)
        self._answered.release()

    def submit(self, sequence: int = 0) -> None:
        self._painter.submit(self.session, Submit(sequence, 0, 8, 8, PixelFormat.RGB24))

    def next(self) -> FromWorker:
        assert self._answered.acquire(timeout=PATIENCE)
        return self.answers.pop(0)

    def painted(self) -> int:
        done = self.next()
        assert isinstance(done, Done)
        assert done.error is None
        return int(self.memory.frame(0, 8, 8, PixelFormat.RGB24).data[0])

    def error(self) -> str | None:
        done = self.next()
        assert isinstance(done, Done)
        return done.error


@pytest.fixture
def backend() -> Batching:
    return Batching()


@pytest.fixture
def painter(backend: Batching) -> Iterator[Painter]:
    shelf = Shelf(lambda name, model: backend if name == "many" else FaultBackend())
    shelf.load("many", lambda progress: None)
    shelf.load("single", lambda progress: None)
    painter = Painter(shelf)
    painter.start()
    yield painter
    for _ in range(10):
        backend.go.release()
    painter.close(PATIENCE)
    shelf.close()
    for session in painter._sessions:
        session.memory.close()


def hold(backend: Batching, painter: Painter, prompt: str = "99") -> Client:
    """Keep the painter busy with a session, so that the frames of others gather."""
    busy = Client(painter, prompt)
    busy.submit()
    assert backend.begun.acquire(timeout=PATIENCE)
    return busy


def test_what_waits_is_painted_together_and_each_gets_its_own(backend: Batching, painter: Painter) -> None:
    clients = [Client(painter, str(10 * index)) for index in (1, 2, 3)]
    busy = hold(backend, painter)
    for client in clients:
        client.submit()
    backend.go.release(2)
    assert busy.painted() == 99
    assert [client.painted() for client in clients] == [10, 20, 30]
    assert [len(batch) for batch in backend.batches] == [1, 3]


def test_the_limit_holds_and_nobody_is_served_twice_before_all(backend: Batching, painter: Painter) -> None:
    clients = [Client(painter, str(index)) for index in range(5)]
    busy = hold(backend, painter)
    busy.submit(1)
    for client in clients:
        client.submit()
    backend.go.release(3)
    assert [client.painted() for client in clients] == [0, 1, 2, 3, 4]
    assert [len(batch) for batch in backend.batches] == [1, 3, 3]
    assert "99" not in backend.batches[1]


def test_turns_go_round_however_fast_frames_come(backend: Batching, painter: Painter) -> None:
    clients = {str(index): Client(painter, str(index)) for index in range(5)}
    clients["99"] = hold(backend, painter)
    for client in clients.values():
        client.submit()
    for _ in range(6):
        backend.go.release()
        assert backend.begun.acquire(timeout=PATIENCE)
        for prompt in backend.batches[-1]:
            clients[prompt].submit()
    for one, following in pairwise(backend.batches[1:]):
        assert set(one + following) == set(clients)


def test_other_pipelines_are_not_in_the_batch(backend: Batching, painter: Painter) -> None:
    one, other, single = Client(painter, "1"), Client(painter, "2"), Client(painter, "", "single")
    hold(backend, painter)
    for client in (one, single, other):
        client.submit()
    backend.go.release(2)
    assert (one.painted(), other.painted()) == (1, 2)
    single.painted()
    assert sorted(backend.batches[1]) == ["1", "2"]


def test_an_error_is_told_to_whom_it_concerns(
    backend: Batching, painter: Painter, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = Client(painter, "7"), Client(painter, "bad")
    hold(backend, painter)
    for client in (good, bad):
        client.submit()
    backend.go.release(2)
    assert bad.error() == "on command"
    assert good.painted() == 7
    # A log record would keep the frame, and with it the shared memory, until the test has ended.
    monkeypatch.setattr(flight.logger, "error", lambda *_, **__: None)
    raising = Client(painter, "raise")
    raising.submit()
    backend.go.release()
    assert raising.error() == "fault failed on this frame: ZeroDivisionError"


class Overlapping(FaultBackend):
    """Begins at once, and finishes when it may; notes both."""

    batch_limit: ClassVar[int] = 2
    works_aside = True

    def __init__(self) -> None:
        self.events: list[str] = []
        self.meanwhile: Callable[[], None] | None = None  # is called once, while a batch is under way
        self.may_finish = threading.Semaphore(0)
        self.begun = threading.Semaphore(0)

    def apply(self, state: State, settings: Settings, changed: frozenset[str]) -> None:
        self.events.append(f"apply {state.prompt}")
        super().apply(state, settings, changed)

    def start(self, batch: Sequence[tuple[State, Frame]]) -> Callable[[], list[Frame | PipelineError]]:
        names = "+".join(sorted(state.prompt for state, _ in batch))
        self.events.append(f"start {names}")
        self.begun.release()
        if meanwhile := self.meanwhile:
            self.meanwhile = None
            meanwhile()
        if "refuse" in names:
            raise OutOfMemory("on command")

        def finish() -> list[Frame | PipelineError]:
            assert self.may_finish.acquire(timeout=PATIENCE)
            self.events.append(f"finish {names}")
            if "few" in names:
                return []
            return [DeviceLost("on command") if "lost" in state.prompt else frame for state, frame in batch]

        return finish


@pytest.fixture
def device() -> Overlapping:
    return Overlapping()


@pytest.fixture
def overlapped(device: Overlapping) -> Iterator[Painter]:
    shelf = Shelf(lambda name, model: device if name == "device" else FaultBackend())
    shelf.load("device", lambda progress: None)
    shelf.load("single", lambda progress: None)
    painter = Painter(shelf, lambda: device.events.append("lost"))
    painter.start()
    yield painter
    device.may_finish.release(20)
    painter.close(PATIENCE)
    shelf.close()
    for session in painter._sessions:
        session.memory.close()


def begin(device: Overlapping, client: Client) -> None:
    """Its frame is under way, and the painter waits for it."""
    client.submit()
    assert device.begun.acquire(timeout=PATIENCE)


def in_turn(painter: Painter, *names: str) -> list[Client]:
    """Sessions of `device` that are served in this order."""
    clients = [Client(painter, name, "device") for name in names]
    for index, client in enumerate(clients):
        client.session.turn = index - len(clients)
    return clients


def test_others_are_begun_before_the_answers_are_waited_for(device: Overlapping, overlapped: Painter) -> None:
    a, b, c, d, e = in_turn(overlapped, *"abcde")
    begin(device, a)
    for client in (b, c, d, a, e):  # while the painter waits for the first
        client.submit()
    device.may_finish.release(20)
    for client in (a, b, c, d, a, e):
        assert client.error() is None
    assert device.events == [
        "start a",
        "finish a",
        "start b+c",
        "start d+e",
        "finish b+c",
        "start a",
        "finish d+e",
        "finish a",
    ]


def test_what_is_painted_when_it_is_begun_is_answered_before_others_are(
    device: Overlapping, overlapped: Painter
) -> None:
    device.works_aside = False
    a, b = in_turn(overlapped, "a", "b")
    device.meanwhile = b.submit
    begin(device, a)
    device.may_finish.release(20)
    assert a.error() is b.error() is None
    assert device.events == ["start a", "finish a", "start b", "finish b"]


def test_a_session_alone_is_never_in_two_batches(device: Overlapping, overlapped: Painter) -> None:
    alone = Client(overlapped, "a", "device")
    device.meanwhile = lambda: alone.submit(1)
    begin(device, alone)
    device.may_finish.release(20)
    answers = [alone.next(), alone.next()]
    assert [answer.sequence for answer in answers if isinstance(answer, Done)] == [0, 1]
    assert device.events == ["start a", "finish a"] * 2


def test_settings_wait_for_what_is_under_way(device: Overlapping, overlapped: Painter) -> None:
    a, b = in_turn(overlapped, "a", "b")

    def meanwhile() -> None:
        overlapped.apply(a.session, Apply(2, Settings(pipeline="device", prompt="z")))
        a.submit(1)
        b.submit()

    device.meanwhile = meanwhile
    begin(device, a)
    device.may_finish.release(20)
    first, applied, second = a.next(), a.next(), a.next()
    assert isinstance(first, Done)
    assert isinstance(applied, Applied)
    assert isinstance(second, Done)
    assert (first.version, applied.version, second.version) == (1, 2, 2)
    assert device.events[:3] == ["start a", "finish a", "apply a"]


def test_a_suspect_is_in_no_batch_with_others_until_it_is_proven(backend: Batching, painter: Painter) -> None:
    suspect, other = Client(painter, "6", suspect=True), Client(painter, "7")
    busy = hold(backend, painter)
    backend.go.release(100)
    busy.painted()
    for _ in range(PROVEN_AFTER):
        suspect.submit()
        suspect.painted()
    backend.go = threading.Semaphore(0)
    while backend.begun.acquire(blocking=False):
        pass
    both = (suspect, other)
    for alone in (True, False):
        suspect.session.alone = int(alone)
        busy.submit()
        assert backend.begun.acquire(timeout=PATIENCE)
        for client in both:
            client.submit()
        backend.batches.clear()
        backend.go.release(3)
        assert (busy.painted(), *(client.painted() for client in both)) == (99, 6, 7)
        assert sorted(map(len, backend.batches)) == ([1, 1] if alone else [2])
        backend.go = threading.Semaphore(0)
        while backend.begun.acquire(blocking=False):
            pass


def test_nothing_is_under_way_beside_a_suspect(device: Overlapping, overlapped: Painter) -> None:
    a, suspect, b = in_turn(overlapped, "a", "suspect", "b")
    suspect.session.alone = 2
    begin(device, a)
    suspect.submit()
    b.submit()
    device.may_finish.release(20)
    assert a.error() is suspect.error() is b.error() is None
    assert device.events == ["start a", "finish a", "start suspect", "finish suspect", "start b", "finish b"]
    assert suspect.session.alone == 1


def test_the_memory_says_whether_the_worker_was_at_work_for_a_session(
    backend: Batching, painter: Painter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flight.logger, "error", lambda *_, **__: None)
    client, other = Client(painter, "7"), Client(painter, "8")
    assert not client.memory.at_work
    client.submit()
    assert backend.begun.acquire(timeout=PATIENCE)
    assert (client.memory.at_work, other.memory.at_work) == (True, False)
    backend.go.release()
    assert client.painted() == 7
    at_answers: list[bool] = []
    answered = client.session.answer

    def answer(message: FromWorker) -> None:
        at_answers.append(client.memory.at_work)
        answered(message)

    client.session.answer = answer
    client.submit()
    backend.go.release()
    assert (client.painted(), at_answers) == (7, [False])
    raising = Client(painter, "raise")
    raising.submit()
    backend.go.release()
    assert raising.error()
    assert (raising.memory.at_work, client.memory.at_work) == (True, False)  # it did not end well


def test_a_frame_that_fails_again_and_again_is_logged_once(
    device: Overlapping, overlapped: Painter, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[object] = []
    monkeypatch.setattr(flight.logger, "error", lambda *words, **_: logged.append(words))
    device.may_finish.release(100)
    [client] = in_turn(overlapped, "few")
    for prompt, times in (("few", 5), ("fine", 1), ("few", 5)):
        client.session.state.prompt = prompt
        for _ in range(times):
            client.submit()
            client.error()
    assert len(logged) == 2


def test_the_pulse_says_what_takes_how_long(backend: Batching, painter: Painter) -> None:
    client = Client(painter, "7")
    assert painter.pulse(time.monotonic()).doing == "nothing"
    for doing in ("preparing", "painting"):  # the first one may take long
        client.submit()
        assert backend.begun.acquire(timeout=PATIENCE)
        pulse = painter.pulse(time.monotonic() + 5)
        assert (pulse.doing, pulse.usual, pulse.loads) == (doing, 0, False)
        assert 5 <= pulse.seconds < 5 + PATIENCE
        backend.go.release()
        client.painted()
    client.submit()
    assert backend.begun.acquire(timeout=PATIENCE)
    assert painter.pulse(0).usual > 0
    backend.go.release()
    client.painted()


@pytest.mark.logs_errors("cannot paint any more")
@pytest.mark.parametrize("name", ["refuse", "few"])
def test_a_process_that_paints_nothing_any_more_ends(
    device: Overlapping, overlapped: Painter, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flight.logger, "error", lambda *_, **__: None)
    [bad] = in_turn(overlapped, name)
    device.may_finish.release(100)
    for count in range(MOST_IN_A_ROW):
        assert "lost" not in device.events, count
        bad.submit()
        assert bad.error()
    overlapped._thread.join(PATIENCE)
    assert device.events[-1] == "lost"


def test_frames_that_no_back_end_was_asked_for_are_no_failures(device: Overlapping, overlapped: Painter) -> None:
    client = Client(overlapped, "a", "device")
    client.session.backend = None
    for _ in range(MOST_IN_A_ROW + 5):
        client.submit()
        assert client.error()
    assert "lost" not in device.events
    assert not client.memory.at_work


def test_a_back_end_that_only_steps_is_answered_at_once(device: Overlapping, overlapped: Painter) -> None:
    a, b, single = (
        Client(overlapped, "a", "device"),
        Client(overlapped, "b", "device"),
        Client(overlapped, "", "single"),
    )
    begin(device, a)
    single.submit()
    device.may_finish.release()
    assert a.error() is None
    single.painted()
    b.submit()
    single.submit()
    device.may_finish.release()
    assert b.error() is None
    single.painted()


@pytest.mark.parametrize(("name", "error"), [("refuse", "on command"), ("few", "ValueError")])
def test_what_goes_wrong_costs_one_batch(
    device: Overlapping, overlapped: Painter, name: str, error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flight.logger, "error", lambda *_, **__: None)
    good, bad = in_turn(overlapped, "good", name)
    device.may_finish.release(20)
    for _ in range(2):
        bad.submit()
        assert error in (bad.error() or "")
        good.submit()
        assert good.error() is None


@pytest.mark.logs_errors("cannot paint any more")
def test_a_lost_device_answers_what_is_under_way(device: Overlapping, overlapped: Painter) -> None:
    a, unlucky, *others = in_turn(overlapped, "a", "lost", *"bcd")
    begin(device, a)
    for client in (unlucky, *others):
        client.submit()
    device.may_finish.release(20)
    assert [client.error() for client in (a, unlucky, *others)] == [None, "on command", None, None, None]
    overlapped._thread.join(PATIENCE)
    assert device.events[2:] == ["start b+lost", "start c+d", "finish b+lost", "finish c+d", "lost"]
