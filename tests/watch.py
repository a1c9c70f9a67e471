"""What every test is held to, as a pytest plugin: it leaves nothing behind, ends in time, and no error goes unheard.

After a test there are no more tasks, threads, descriptors, processes and shared memory than before, and no session or
peer connection is alive. An error in the log fails the test unless it carries `@pytest.mark.logs_errors("pattern")`.
A hang fails with the stacks of all tasks and threads. docs/testing.md says how to read what this prints.
"""

from __future__ import annotations

import asyncio
import gc
import io
import logging
import random
import re
import signal
import time
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Generator, Iterator
from types import FrameType

import pytest
import pytest_asyncio
import structlog
from aiortc import RTCPeerConnection

from pipeline.worker.client import WorkerClient
from pipeline.worker.supervisor import Supervisor
from tests.fakes.footprint import Footprint, leaked
from webrtc_server.rtc.peer import Peer
from webrtc_server.sessions.session import Session

PATIENCE = 2.0  # seconds for what a test has ended to be gone
SLOW_DEADLINE = 120.0  # seconds for a test marked `slow`; for others, the setting `timeout` in pyproject.toml
ALARM_AGAIN = 1.0  # seconds
FREEZE_ABOVE = 200_000  # living objects; so many more come with a large library only, not with a test
KINDS = frozenset({RTCPeerConnection, Peer, Session, Supervisor, WorkerClient})

_before = pytest.StashKey[Footprint]()
_failed = pytest.StashKey[bool]()


class _ErrorLog(logging.Handler):
    """The errors since `take` was last called, as text: a record would keep the frames of its exception alive."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        # aiortc says with a warning that a sender or a transport has died of an exception.
        if record.levelno >= logging.ERROR or (record.name.startswith("aiortc") and "Traceback" in text):
            self._texts.append(f"{record.name}: {text}")

    def take(self) -> list[str]:
        texts, self._texts = self._texts, []
        return texts


_errors = _ErrorLog()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, help="of the tests that choose at random; a failure prints the one it had")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "logs_errors(pattern): errors in the log that match are part of this test")
    if config.option.seed is None:
        config.option.seed = random.SystemRandom().randrange(2**32)
    logging.getLogger().addHandler(_errors)


def pytest_unconfigure() -> None:
    logging.getLogger().removeHandler(_errors)


def pytest_report_header(config: pytest.Config) -> str:
    return f"seed: {config.option.seed}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_DEADLINE))


def pytest_collection_finish() -> None:
    """What was imported will stay, and need not be looked at again after every test."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def seed(pytestconfig: pytest.Config) -> int:
    """For a test's own `random.Random`; printed if the test fails."""
    number: int = pytestconfig.option.seed
    return number


@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """First to begin, last to end; the check itself comes after all fixtures, in `pytest_runtest_teardown`."""
    structlog.configure(  # into the log that is watched; without exceptions' frames
        processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer(key_order=["event"])],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    _errors.take()
    request.node.stash[_before] = Footprint.take()
    yield
    if pytest_asyncio.is_async_test(request.node):
        gc.collect()  # exceptions that nobody asked for and coroutines that nobody awaited are told of now


@pytest.fixture(autouse=True)
def no_task_is_left(nothing_is_left: None, request: pytest.FixtureRequest) -> None:
    """Ends before the event loop does, which would cancel the tasks without a word."""
    if pytest_asyncio.is_async_test(request.node):
        request.getfixturevalue("_tasks_end")


@pytest.fixture
async def _tasks_end(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    if request.node.stash.get(_failed, False):
        return
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    if left:
        _, left = await asyncio.wait(left, timeout=PATIENCE)
    if left:
        pytest.fail("tasks are left:\n" + "\n".join(map(stack, left)), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[_failed] = True
        if "seed" in getattr(item, "fixturenames", ()):
            report.sections.append(("seed", f"again with: --seed {item.config.option.seed}"))
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """The outermost, so that no fixture and no captured log holds anything any more."""
    result = yield
    if isinstance(item, pytest.Function):
        item.funcargs.clear()  # as pytest does a moment later
    before = item.stash.get(_before, None)
    if before is not None and not item.stash.get(_failed, False):  # a failed test's traceback holds what it held
        problems = [f"{name} left: {what}" for name, what in leaked(before, PATIENCE).items()]
        problems += _living()
        problems += _unexpected(_errors.take(), item)
        if problems:
            pytest.fail("\n".join(problems), pytrace=False)
    return result


def _living() -> list[str]:
    deadline = time.monotonic() + PATIENCE
    while True:
        objects = gc.get_objects()
        living = Counter(kind.__name__ for kind in map(type, objects) if kind in KINDS)
        is_over = not living or time.monotonic() > deadline
        if is_over and (living or len(objects) > FREEZE_ABOVE):
            gc.freeze()
        if is_over:
            return [f"objects left: {dict(living)}"] if living else []
        del objects
        gc.collect()
        time.sleep(0.02)


def _unexpected(errors: list[str], item: pytest.Item) -> list[str]:
    patterns = [pattern for mark in item.iter_markers("logs_errors") for pattern in mark.args]
    return [f"logged: {text}" for text in errors if not any(re.search(pattern, text) for pattern in patterns)]


@pytest.hookimpl(wrapper=True)
def pytest_timeout_set_timer(item: pytest.Item) -> Generator[None, object, object]:
    """pytest-timeout shows the threads' stacks; here, the tasks'."""
    result = yield
    fail = signal.getsignal(signal.SIGALRM)
    if callable(fail):  # the method may be another

        def show_and_fail(number: int, frame: FrameType | None) -> None:
            # Raised inside a step of some other task it would be that task's exception, and the test would hang on.
            signal.setitimer(signal.ITIMER_REAL, ALARM_AGAIN)
            terminal = item.config.get_terminal_writer()
            for task in _running_tasks():
                terminal.line(stack(task))
            fail(number, frame)

        signal.signal(signal.SIGALRM, show_and_fail)
    return result


def _running_tasks() -> set[asyncio.Task[object]]:
    try:
        return asyncio.all_tasks()
    except RuntimeError:
        return set()  # no loop runs


def stack(task: asyncio.Task[object]) -> str:
    """Where a task is, down to what it waits for; `Task.print_stack` stops at its first coroutine."""
    text = io.StringIO()
    print(f"task {task.get_name()!r}", file=text)
    waiting: object = task.get_coro()
    while waiting is not None:
        frame = getattr(waiting, "cr_frame", None) or getattr(waiting, "gi_frame", None)
        if frame is not None:
            text.writelines(traceback.format_list(traceback.StackSummary.extract([(frame, frame.f_lineno)])))
        waiting = getattr(waiting, "cr_await", None) or getattr(waiting, "gi_yieldfrom", None)
    return text.getvalue()
