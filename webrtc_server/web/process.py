"""The server as a process: it listens, hears signals, and ends its parts in the right order, each in bounded time.

SIGTERM is an operator's: the sessions are told and have `drain_seconds` to leave by themselves, and the address goes on
answering meanwhile. SIGINT is Ctrl+C: who sits at the terminal is the one who uses it, and wants the prompt back, so
the sessions are ended at once. A second signal, whichever, cuts short what is under way. Called by `cli/serve.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from types import FrameType

from aiohttp import web

from pipeline.worker.supervisor import WORKER_MODULE, WorkerState
from webrtc_server.config import Config
from webrtc_server.limits import HURRIED_STOP_TIMEOUT, REQUEST_CLOSE_TIMEOUT
from webrtc_server.observe.log import get_logger
from webrtc_server.web import tls
from webrtc_server.web.app import SUPERVISOR, build_app, drain, end_sessions
from webrtc_server.web.connections import Runner
from webrtc_server.web.memory import leave_out_of_collections
from webrtc_server.web.tls_site import TlsSite

SIGNALS = (signal.SIGINT, signal.SIGTERM)

logger = get_logger(__name__)


class CannotListen(Exception):
    """There is no listening on the configured address; the text says why, in the system's words."""


class Signals:
    """What the process was told: the `first` signal, and whether a second one came.

    Handlers of `signal` and not of the event loop: Windows has none of those, and these stay when the loop is closed,
    so that a signal that comes late does not kill what is ending anyhow.
    """

    def __init__(self) -> None:
        self.first: asyncio.Future[signal.Signals] = asyncio.get_running_loop().create_future()
        self._hurried = False
        self._cut: tuple[asyncio.Timeout, float] | None = None
        self._loop = asyncio.get_running_loop()
        for number in SIGNALS:
            signal.signal(number, self._handle)

    @contextlib.asynccontextmanager
    async def until_hurried(self, grace: float = 0.0) -> AsyncIterator[None]:
        """What is inside is cancelled `grace` seconds after the second signal."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None) as limit:
                self._cut = limit, grace
                if self._hurried:
                    self._hurry()
                try:
                    yield
                finally:
                    self._cut = None

    @staticmethod
    def ignore() -> None:
        """From now on: the process is at its end."""
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._heard, signal.Signals(number))

    def _heard(self, number: signal.Signals) -> None:
        if not self.first.done():
            self.first.set_result(number)
        elif not self._hurried:
            logger.warning("second signal: ending at once")
            self._hurried = True
            self._hurry()

    def _hurry(self) -> None:
        if self._cut:
            limit, grace = self._cut
            limit.reschedule(self._loop.time() + grace)


def why_not(error: OSError | UnicodeError) -> str:
    """Without the address, which asyncio repeats. The number of a name that is not found is below 0; some have none."""
    if not isinstance(error, OSError):
        return str(error)
    if error.errno is None or error.errno < 0:
        return error.strerror or str(error)
    return os.strerror(error.errno)


Watcher = Callable[[WorkerState], None]


def run(
    config: Config,
    pipeline: str,
    reason: str,
    listening: Callable[[int, bool], None],
    worker_module: str = WORKER_MODULE,
    watch_worker: Watcher | None = None,
) -> int:
    """Serve until SIGINT or SIGTERM; the exit code. `listening` is called once with the port, and whether there are
    documents at `/docs`; `watch_worker` with each state of the worker, on the event loop. Raises CannotListen,
    tls.BadCertificate.
    """
    leave_out_of_collections()
    try:
        return asyncio.run(_serve(config, pipeline, reason, listening, worker_module, watch_worker))
    finally:
        Signals.ignore()


async def _serve(
    config: Config,
    pipeline: str,
    reason: str,
    listening: Callable[[int, bool], None],
    worker_module: str,
    watch_worker: Watcher | None = None,
) -> int:
    context = tls.context_for(config)
    signals = Signals()
    app = build_app(config, pipeline, reason, worker_module)
    if watch_worker:
        app[SUPERVISOR].subscribe(watch_worker)
    runner = Runner(app, config, REQUEST_CLOSE_TIMEOUT)
    await runner.setup()
    try:
        address = runner, config.host, config.port
        site = TlsSite(*address, context) if context else web.TCPSite(*address)
        try:
            await site.start()
        except (OSError, UnicodeError) as error:  # the latter where it cannot be a name at all
            raise CannotListen(why_not(error)) from None
        listening(runner.addresses[0][1], any(route.canonical == "/docs" for route in app.router.resources()))
        if await signals.first is signal.SIGTERM:
            async with signals.until_hurried():
                await drain(app, config.drain_seconds)
        async with signals.until_hurried(HURRIED_STOP_TIMEOUT):  # a worker that is asked twice to end is killed
            await asyncio.gather(end_sessions(app), app[SUPERVISOR].close())
    finally:
        async with signals.until_hurried(HURRIED_STOP_TIMEOUT):
            await runner.cleanup()  # only now does the address fall silent
    return 0
