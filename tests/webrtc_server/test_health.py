"""`/healthz` follows the event loop, `/readyz` the way of a frame: a worker may live and paint nothing."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace

import aiohttp
import pytest

from tests.conftest import StartServer
from tests.fakes.rtc_client import RtcClient
from webrtc_server.limits import FRAME_OLD, LOOP_TICK_OLD, PENDING_OFFERS
from webrtc_server.observe.loop_clock import LoopClock
from webrtc_server.protocol.error_codes import Code
from webrtc_server.protocol.readiness import Flow, ServerFacts, alive, not_ready

NOW = 1000.0


def reasons(
    *flows: Flow, draining: bool = False, failure: str | None = None, phase: str = "ready", refusal: str | None = None
) -> list[str]:
    facts = ServerFacts(draining, failure, Code.MODEL_LOAD_FAILED, phase, refusal, flows)
    return [code.value for code, _ in not_ready(facts, NOW)]


def test_ready_is_who_takes_and_paints() -> None:
    assert reasons() == []
    assert reasons(draining=True, refusal="full") == ["draining", "capacity"]
    assert reasons(failure="no weights", phase="failed") == ["model_load_failed"]
    assert reasons(failure="no weights", phase="loading") == ["model_load_failed"]
    for phase in ("loading", "down"):
        assert reasons(phase=phase) == ["worker_restarting"]


@pytest.mark.parametrize(
    ("flows", "silent"),
    [
        ([], False),
        ([Flow(NOW - FRAME_OLD + 0.01, None)], False),
        ([Flow(NOW - FRAME_OLD, None)], True),
        ([Flow(NOW - 100, NOW - FRAME_OLD + 0.01)], False),
        ([Flow(NOW - 100, NOW - FRAME_OLD)], True),
        ([Flow(NOW - 1, NOW - 50)], False),  # its camera was off meanwhile
        ([Flow(NOW - 100, None), Flow(NOW - 100, NOW - 1)], False),  # the one's trouble is not the server's
        ([Flow(NOW - 100, NOW - 9), Flow(NOW - 1, None)], True),  # who has just come does not excuse it
    ],
)
def test_pictures_that_come_and_are_not_painted(flows: list[Flow], silent: bool) -> None:
    assert reasons(*flows) == (["worker_restarting"] if silent else [])


def test_alive_within_a_second() -> None:
    assert alive(LOOP_TICK_OLD - 0.01)
    assert not alive(LOOP_TICK_OLD)


async def test_the_clock_of_the_loop_notices_what_holds_it_up() -> None:
    clock = LoopClock()
    assert clock.lag(99) is None
    ticking = asyncio.create_task(clock.run())
    await asyncio.sleep(0.25)
    time.sleep(0.4)  # noqa: ASYNC251  it is to hold up the loop
    assert clock.age(time.monotonic()) >= 0.4
    await asyncio.sleep(0.25)
    worst = clock.lag(99)
    assert worst is not None
    assert 0 <= (clock.lag(0) or 0) < 200 < worst
    ticking.cancel()


async def test_a_tick_that_comes_early_is_not_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webrtc_server.observe.loop_clock.time", SimpleNamespace(monotonic=lambda: 5.0))
    clock = LoopClock()
    ticking = asyncio.create_task(clock.run())
    async with asyncio.timeout(5):
        while clock.lag(50) is None:
            await asyncio.sleep(0.01)
    ticking.cancel()
    assert (clock.lag(50), clock.lags.sum) == (0, 0)


async def test_healthz_says_when_the_loop_stands_still(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with aiohttp.ClientSession(server.url) as http:
        async with http.get("/healthz") as response:
            health = await response.json()
            assert (response.status, health["status"]) == (200, "ok")
            assert 0 <= health["tick_age_s"] < LOOP_TICK_OLD
            assert health["loop_lag_ms"]["p50"] <= health["loop_lag_ms"]["p99"]
        [ticking] = [task for task in asyncio.all_tasks() if task.get_name() == "loop clock"]
        ticking.cancel()
        async with asyncio.timeout(10):
            while (response := await http.get("/healthz")).status == 200:
                response.release()
                await asyncio.sleep(0.05)
        stalled = await response.json()
        assert (response.status, stalled["status"], stalled["tick_age_s"] >= LOOP_TICK_OLD) == (503, "stalled", True)


async def until_ready_is(http: aiohttp.ClientSession, status: int) -> list[dict[str, str]]:
    async with asyncio.timeout(15):
        while True:
            async with http.get("/readyz") as response:
                if response.status == status:
                    found: list[dict[str, str]] = (await response.json())["reasons"]
                    return found
            await asyncio.sleep(0.05)


async def test_readyz_follows_the_frames_of_a_worker_that_lives(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webrtc_server.protocol.readiness.FRAME_OLD", 0.7)
    monkeypatch.setattr("pipeline.policy.supervision.STALL_AFTER", 30.0)  # it is well, but for its pictures
    server = await start_server("fault")
    async with RtcClient(server.url) as client, aiohttp.ClientSession(server.url) as http:
        await client.frames(5)
        await until_ready_is(http, 200)
        client.send("settings", {"prompt": "slow 1.5"})
        await client.message("settings_applied")
        [reason] = await until_ready_is(http, 503)
        assert reason["code"] == "worker_restarting"
        assert reason["detail"].startswith("pictures come in and none was painted")
        client.send("settings", {"prompt": "fine"})
        await until_ready_is(http, 200)
        client.camera.paused = True  # no input is no fault
        await client.message("status", state="no_input")
        await asyncio.sleep(0.8)
        async with http.get("/readyz") as response:
            assert response.status == 200
    assert server.worker_restarts == 0


async def test_readyz_says_that_nothing_could_be_loaded(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webrtc_server.web.app._with_fallbacks", lambda pipeline: ["broken"])
    server = await start_server("identity", phase="failed")
    async with aiohttp.ClientSession(server.url) as http:
        [reason] = await until_ready_is(http, 503)
        assert reason["code"] == "model_load_failed"
        assert "broken on purpose" in reason["detail"]


async def test_readyz_says_what_a_newcomer_would_be_told(start_server: StartServer) -> None:
    server = await start_server("identity", max_sessions=1, queue_length=100)
    for _ in range(PENDING_OFFERS):
        server.manager.create(None)
    async with aiohttp.ClientSession(server.url) as http:
        [reason] = await until_ready_is(http, 503)
    assert reason == {"code": "capacity", "detail": "Too many others are connecting just now."}


async def test_a_worker_that_is_started_again_is_not_told_as_the_first_load(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with aiohttp.ClientSession(server.url) as http:
        async with http.get("/api/status") as response:
            assert (await response.json())["state"] == "running"
        server.kill_worker()
        await server.worker_left_ready()
        async with http.get("/api/status") as response:
            assert (await response.json())["state"] == "degraded"
