"""The whole server inside the test's own process, with its worker as a real child.

`python -m tests.fakes.server PIPELINE [MAX_SESSIONS]` runs it as a process of its own, for benchmarks.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from aiohttp import web, web_app

from tests.fakes.fault_backend import add_entries
from webrtc_server.config import Config
from webrtc_server.sessions.manager import SessionManager
from webrtc_server.web import tls
from webrtc_server.web.app import MANAGER, SUPERVISOR, build_app
from webrtc_server.web.connections import Runner
from webrtc_server.web.tls_site import TlsSite

WORKER = "tests.fakes.fault_backend"


class RunningServer:
    def __init__(self, config: Config, pipeline: str, worker_module: str = WORKER) -> None:
        self._config = config
        self.app = build_app(config, pipeline, "asked for", worker_module)
        self._runner = Runner(self.app, config, shutdown_timeout=2)

    @property
    def manager(self) -> SessionManager:
        return self.app[MANAGER]

    @property
    def worker_restarts(self) -> int:
        return self.app[SUPERVISOR].restarts

    async def start(self, phase: str = "ready", timeout: float = 20) -> None:
        """Listening, and the worker as far as `phase`: `ready` means that it has painted."""
        await self._runner.setup()
        address = self._runner, "127.0.0.1", 0
        context = tls.context_for(self._config)
        await (TlsSite(*address, context) if context else web.TCPSite(*address)).start()
        await self.worker_is(phase, timeout)

    @property
    def url(self) -> str:
        return f"{self._config.scheme}://127.0.0.1:{self._runner.addresses[0][1]}"

    async def worker_is(self, phase: str, timeout: float = 20) -> None:
        async with asyncio.timeout(timeout):
            while self.app[SUPERVISOR].state.phase != phase:
                await asyncio.sleep(0.01)

    async def worker_left_ready(self, timeout: float = 20) -> None:
        async with asyncio.timeout(timeout):
            while self.app[SUPERVISOR].state.phase == "ready":
                await asyncio.sleep(0.01)

    def kill_worker(self) -> None:
        pid = self.app[SUPERVISOR].pid
        assert pid
        os.kill(pid, signal.SIGKILL)

    def forget_deaths(self) -> None:
        """The next death costs no more delay than the first."""
        self.app[SUPERVISOR]._supervision.forget_deaths()

    async def close(self) -> None:
        await self._runner.cleanup()
        web_app._cached_build_middleware.cache_clear()  # it would keep this application, and all its parts, alive


async def main() -> None:
    add_entries()
    places = int(sys.argv[2]) if len(sys.argv) > 2 else None
    server = RunningServer(Config(port=0, max_sessions=places), sys.argv[1])
    await server.start()
    sys.stdout.write(f"listening on {server.url}\n")
    sys.stdout.flush()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await server.close()


if __name__ == "__main__":
    asyncio.run(main())
