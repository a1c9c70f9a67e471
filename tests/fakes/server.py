"""The whole server inside the test's own process, with its worker as a real child.

`python -m tests.fakes.server PIPELINE [MAX_SESSIONS]` runs it as a process of its own, for benchmarks.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time

from aiohttp import web, web_app

from tests.fakes.fault_backend import add_entries
from tests.fakes.footprint import Footprint
from tests.fakes.rtc_client import RtcClient
from webrtc_server.config import Config
from webrtc_server.sessions.manager import SessionManager
from webrtc_server.web import openapi, tls
from webrtc_server.web.app import MANAGER, SUPERVISOR, build_app
from webrtc_server.web.connections import Runner
from webrtc_server.web.middleware import PROBLEM
from webrtc_server.web.tls_site import TlsSite

WORKER = "tests.fakes.fault_backend"
DOCUMENTED = {
    (each.method, openapi.gate_key(each)): (each.gives.keys(), {str(code) for code in openapi.codes(each)})
    for each in openapi.all_operations()
}


def answered_code(response: web.StreamResponse) -> str | None:
    """Of a problem."""
    if isinstance(response, web.Response) and response.content_type == PROBLEM and response.text:
        return str(json.loads(response.text)["code"])
    return None


class RunningServer:
    def __init__(self, config: Config, pipeline: str, worker_module: str = WORKER) -> None:
        self._config = config
        self.app = build_app(config, pipeline, "asked for", worker_module)
        self.undocumented: set[str] = set()  # what was answered and does not stand in the OpenAPI document
        self.app.on_response_prepare.append(self._look_up)
        self._runner = Runner(self.app, config, shutdown_timeout=2)

    async def _look_up(self, request: web.Request, response: web.StreamResponse) -> None:
        resource = request.match_info.route.resource
        if resource is None:  # no such address
            return
        method = "GET" if request.method == "HEAD" else request.method
        found = DOCUMENTED.get((method, resource.canonical))
        if found is None or not (response.status in found[0] or answered_code(response) in found[1]):
            self.undocumented.add(f"{method} {resource.canonical}: {response.status} {answered_code(response)}")

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
        assert self.undocumented == set()
        web_app._cached_build_middleware.cache_clear()  # it would keep this application, and all its parts, alive


async def at_rest(server: RunningServer) -> tuple[int, Footprint]:
    """How many tasks there are and what the process holds, once all is there that is made on demand and kept."""
    async with RtcClient(server.url, 320, 240) as warm_up:
        await warm_up.frames(2)
    executor_threads = (os.cpu_count() or 1) + 4
    await asyncio.gather(*(asyncio.to_thread(time.sleep, 0.1) for _ in range(executor_threads)))
    async with asyncio.timeout(20):
        while server.manager.sessions:
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.5)  # what ends with a session ends aside
    return len(asyncio.all_tasks()), Footprint.take()


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
