"""The worker is killed while people are connected: they stay connected, are told, and get picture and settings back."""

from __future__ import annotations

import asyncio
import os
import time

import pytest

from tests.conftest import StartServer
from tests.fakes.footprint import Footprint, leaked
from tests.fakes.rtc_client import RtcClient
from tests.webrtc_server.test_websocket import as_file, client_of, scene


async def test_ten_kills_ten_recoveries(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with RtcClient(server.url, settings={"pipeline": "fault", "seed": 9}) as client:
        await client.frames(5)
        for _ in range(10):
            client.messages.clear()
            killed = time.monotonic()
            server.kill_worker()
            passthrough = await client.message("status", timeout=1, state="passthrough")
            assert passthrough["reason"] == "worker_restarting"
            assert time.monotonic() - killed < 1
            running = await client.message("status", timeout=20, state="running")
            assert (running["settings"]["pipeline"], running["settings"]["seed"]) == ("fault", 9)
            before = len(client.received)
            await client.until(lambda before=before: any(f.number is None for f in client.received[before + 3 :]))  # type: ignore[misc]
            gaps = [b.at - a.at for a, b in zip(client.received, client.received[1:], strict=False) if a.at > killed]
            assert max(gaps) < 1
            server.forget_deaths()
        assert client.pc.connectionState == "connected"


async def test_settings_sent_while_the_worker_is_away_are_in_force_when_it_is_back(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with RtcClient(server.url) as client:
        await client.frames(5)
        server.kill_worker()
        await client.message("status", state="passthrough")
        client.send("settings", {"pipeline": "fault"}, "meanwhile")
        applied = await client.message("settings_applied", id="meanwhile")
        assert applied["notes"]
        await client.message("status", timeout=20, state="running")
        before = len(client.received)
        await client.until(lambda: any(frame.number is None for frame in client.received[before + 3 :]))


async def test_pipeline_that_cannot_be_loaded_is_replaced_and_said(start_server: StartServer) -> None:
    server = await start_server("broken")
    async with RtcClient(server.url) as client:
        status = await client.message("status", state="running", timeout=20)
        assert status["pipeline"] != "broken"
        assert "broken" not in status["pipelines"]
        assert "broken on purpose" in status["message"]


async def test_no_worker_at_all_is_degraded_and_shows_the_camera(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webrtc_server.web.app._with_fallbacks", lambda pipeline: ["broken"])
    server = await start_server("identity", phase="failed")
    async with RtcClient(server.url) as client:
        status = await client.message("status")
        assert (status["state"], status["reason"]) == ("degraded", "model_load_failed")
        assert "broken on purpose" in status["message"]
        assert all(frame.number is not None for frame in (await client.frames(10))[5:])


@pytest.mark.logs_errors("has lost its device")
async def test_lost_device_costs_a_worker_and_nothing_else(start_server: StartServer) -> None:
    server = await start_server("fault")
    async with RtcClient(server.url, settings={"seed": 9}) as client, client_of(server.url) as other:
        await client.until(lambda: any(frame.number is None for frame in client.received[3:]))
        client.send("settings", {"prompt": "lost"})
        passthrough = await client.message("status", timeout=5, state="passthrough")
        assert passthrough["reason"] == "worker_restarting"
        client.send("settings", {"prompt": "fine"})  # or it would be lost again
        running = await client.message("status", timeout=20, state="running")
        assert (running["settings"]["seed"], running["settings"]["prompt"]) == (9, "fine")
        before = len(client.received)
        await client.until(lambda: any(frame.number is None for frame in client.received[before + 3 :]))
        assert client.pc.connectionState == "connected"
        processed = False
        while not processed:
            await other.socket.send(as_file(scene()))
            description, _ = await other.picture()
            processed = description["processed"]
    assert server.worker_restarts >= 1


async def test_out_of_memory_is_told_once_a_second_and_shows_the_camera(start_server: StartServer) -> None:
    server = await start_server("fault")
    async with RtcClient(server.url, settings={"prompt": "oom"}) as client:
        error = await client.message("error")
        assert (error["code"], error["retryable"]) == ("gpu_oom", True)
        assert "smaller size" in error["fix"]
        begun = time.monotonic()
        await client.frames(45)
        [session] = server.manager.sessions.values()
        assert session.statistics.frames["painted"] == 0
        assert session.statistics.frames["passed_through"] >= 45
        errors = [message for message in client.messages if message["type"] == "error"]
        assert 1 <= len(errors) <= time.monotonic() - begun + 1
        client.send("settings", {"prompt": "fine"})
        await client.message("settings_applied")
        await client.until(lambda: client.received[-1].number is None)
    assert server.worker_restarts == 0


async def test_twenty_connections_leave_nothing_behind(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with RtcClient(server.url) as warm_up:
        await warm_up.frames(2)
    executor_threads = (os.cpu_count() or 1) + 4  # made on demand, and kept
    await asyncio.gather(*(asyncio.to_thread(time.sleep, 0.1) for _ in range(executor_threads)))
    tasks, before = asyncio.all_tasks(), Footprint.take()
    for _ in range(20):
        async with RtcClient(server.url, fps=60) as client:
            await client.frames(2)
        while server.manager.sessions:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.5)
    assert len(asyncio.all_tasks()) == len(tasks)
    assert not leaked(before)
