"""The server stops: who is new is refused, who is there is told and has time, and nothing that hangs can hold it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp import web, web_app
from PIL import Image
from structlog.testing import capture_logs
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.conftest import StartServer
from tests.fakes.rtc_client import OfferRefused, RtcClient
from tests.fakes.server import WORKER
from tests.fakes.whep_client import WhepClient
from tests.webrtc_server.test_websocket import as_file, client_of
from webrtc_server.config import Config
from webrtc_server.limits import CLOSE_TIMEOUT, STOP_TIMEOUT
from webrtc_server.web import process
from webrtc_server.web.app import MANAGER, SUPERVISOR, VIEWERS, build_app, drain, end_sessions
from webrtc_server.web.process import SIGNALS, Signals

LONG = 60.0  # seconds that nobody is to wait for


async def test_draining_refuses_the_new_and_waits_for_the_old_who_are_told_once(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with RtcClient(server.url) as client, client_of(server.url) as other:
        await client.message("status", state="running")
        draining = asyncio.create_task(drain(server.app, LONG))
        told = await client.message("status", state="draining")
        assert (told["reason"], LONG - 10 < told["retry_in_s"] <= LONG) == ("draining", True)
        while (await other.message("status"))["state"] != "draining":
            pass
        client.send("subscribe_stats", {"interval_s": 0.5})
        await client.frames(5)
        for _ in range(3):
            await client.message("stats")
        assert not [message for message in client.messages if message["type"] == "status"]
        client.send("get_status")
        assert (await client.message("status"))["retry_in_s"] < told["retry_in_s"]

        with pytest.raises(OfferRefused) as refused:
            await RtcClient(server.url).connect()
        assert (refused.value.status, refused.value.problem["code"]) == (503, "draining")
        assert refused.value.headers["Retry-After"] == "5"
        with pytest.raises(OfferRefused) as unseen:
            await WhepClient(f"{server.url}/whep/{client.answer['view_id']}").connect()
        assert (unseen.value.status, unseen.value.problem["code"]) == (503, "draining")
        assert unseen.value.headers["Retry-After"] == "5"
        with pytest.raises(InvalidStatus) as unopened:
            await connect(server.url.replace("http", "ws") + "/ws")
        assert unopened.value.response.status_code == 503
        assert unopened.value.response.headers["Retry-After"] == "5"
        async with aiohttp.ClientSession(server.url) as http, http.get("/readyz") as response:
            assert response.status == 503
            assert [reason["code"] for reason in (await response.json())["reasons"]] == ["draining"]
        assert not draining.done()
    async with asyncio.timeout(10):
        await draining


async def test_a_channel_that_opens_while_the_server_drains_is_told(start_server: StartServer) -> None:
    server = await start_server("identity")
    client = RtcClient(server.url)
    client.answer = await client.post(await client.offer())
    server.app[MANAGER].draining = True
    [session] = server.app[MANAGER].sessions.values()
    session.ends_at(time.monotonic() + LONG)  # nobody hears it yet
    await client.accept()
    assert (await client.message("status", state="draining"))["retry_in_s"] > 0
    await client.close()


async def test_sessions_that_stay_are_ended_at_the_deadline(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with RtcClient(server.url) as client, client_of(server.url) as other:
        await client.frames(2)
        await drain(server.app, 0.2)
        assert len(server.manager.sessions) == 2
        await end_sessions(server.app)
        assert not server.manager.sessions
        assert (await client.message("status", state="closed"))["reason"] == "draining"
        while (closed := await other.message("status"))["state"] != "closed":
            pass
        assert closed["reason"] == "draining"


async def test_an_idle_server_waits_for_nobody(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with asyncio.timeout(5):
        await drain(server.app, LONG)
    assert server.app[VIEWERS].draining


async def test_a_client_that_reads_nothing_does_not_hold_the_end(start_server: StartServer) -> None:
    server = await start_server("identity")
    noise = np.random.default_rng(1).integers(0, 256, (1024, 1024, 3), np.uint8)
    picture = as_file(Image.fromarray(noise))
    async with connect(
        server.url.replace("http", "ws") + "/ws", max_queue=1, max_size=None, close_timeout=0.1
    ) as socket:
        [session] = server.manager.sessions.values()
        frames, unsent, sent = session.statistics.frames, 0, 0
        while unsent < 15:  # pictures go in, and none comes out any more
            painted = frames["painted"]
            await socket.send(picture)
            async with asyncio.timeout(10):
                while frames["painted"] == painted:
                    await asyncio.sleep(0.01)
            unsent = unsent + 1 if frames["sent"] == sent > 0 else 0
            sent = frames["sent"]
        begun = time.monotonic()
        await end_sessions(server.app)
        await server.close()
        assert time.monotonic() - begun < STOP_TIMEOUT + 4
    assert not server.manager.sessions


async def test_a_session_that_does_not_end_is_given_up(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webrtc_server.web.app.STOP_TIMEOUT", 0.2)
    server = await start_server("identity")
    async with client_of(server.url):
        [session] = server.manager.sessions.values()
        assert session._transport
        close = session._transport.close
        monkeypatch.setattr(session._transport, "close", lambda reason: asyncio.Event().wait())
        with capture_logs() as log:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await end_sessions(server.app)
        assert "not every session ended in time" in [entry["event"] for entry in log]
        await close(None)


async def test_a_worker_that_hears_nothing_is_killed_and_at_once_if_asked_twice(start_server: StartServer) -> None:
    server = await start_server("identity")
    supervisor = server.app[SUPERVISOR]
    assert supervisor.pid
    os.kill(supervisor.pid, signal.SIGSTOP)
    begun = time.monotonic()
    first = asyncio.create_task(supervisor.close())
    _, pending = await asyncio.wait([first], timeout=0.3)
    assert pending
    await supervisor.close()
    await first
    assert time.monotonic() - begun < 4  # STOP_TIMEOUT is 5
    assert supervisor.pid is None


@pytest.fixture
def handlers() -> Iterator[None]:
    """The test process gets its own back."""
    before = [(number, signal.getsignal(number)) for number in SIGNALS]
    yield
    for number, handler in before:
        signal.signal(number, handler)


async def test_the_second_signal_cuts_short_what_is_and_what_comes(handlers: None) -> None:
    signals = Signals()
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(5):
        assert await signals.first is signal.SIGTERM
        cut: list[float] = []
        for grace in (0.0, 0.05):
            async with signals.until_hurried(grace):
                if not cut:
                    os.kill(os.getpid(), signal.SIGINT)
                try:
                    await asyncio.sleep(LONG)
                finally:
                    cut.append(grace)
        assert cut == [0.0, 0.05]
    async with signals.until_hurried(LONG):
        pass  # what ends by itself is not touched
    Signals.ignore()
    os.kill(os.getpid(), signal.SIGTERM)


async def test_the_second_signal_cuts_short_the_clean_up_too(
    handlers: None, faults: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webrtc_server.web.app.STOP_TIMEOUT", LONG)
    apps: list[web.Application] = []

    def build_and_tell(*arguments: Any) -> web.Application:  # noqa: ANN401  as `build_app` takes them
        apps.append(build_app(*arguments))
        return apps[-1]

    monkeypatch.setattr(process, "build_app", build_and_tell)
    listening = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(
        process._serve(Config(port=0), "identity", "asked for", lambda port, _: listening.set_result(port), WORKER)
    )
    async with asyncio.timeout(20):
        url = f"http://127.0.0.1:{await listening}"
    manager = apps[0][MANAGER]
    async with client_of(url), client_of(url):
        closes = []
        for session in manager.sessions.values():
            assert session._transport
            closes.append(session._transport.close)
            monkeypatch.setattr(session._transport, "close", lambda reason: asyncio.Event().wait())
        manager.end_soon(next(iter(manager.sessions.values())))  # one is ending already, the other is ended now
        os.kill(os.getpid(), signal.SIGINT)
        while manager.sessions:
            await asyncio.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)
        async with asyncio.timeout(10):
            assert await serving == 0
        for close in closes:
            await close(None)
    left = {task.get_name(): task for task in asyncio.all_tasks()}
    for name in ("loop clock", "clear memory"):
        left[name].cancel()  # as `asyncio.run` does with what is left
    web_app._cached_build_middleware.cache_clear()


def test_how_long_they_are_given_is_a_setting() -> None:
    assert Config().drain_seconds == 20
    for good in (0, 3600):
        assert Config(drain_seconds=good).drain_seconds == good
    for bad in (-1, 3601):
        with pytest.raises(ValueError, match="drain_seconds"):
            Config(drain_seconds=bad)
