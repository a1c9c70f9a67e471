"""The worker is killed while people are connected: they stay connected, are told, and get picture and settings back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from statistics import median
from typing import Any

import aiohttp
import psutil
import pytest
from websockets.sync.client import connect as connect_sync

from pipeline.settings import Settings
from tests.conftest import StartServer
from tests.fakes.footprint import leaked
from tests.fakes.rtc_client import RtcClient
from tests.fakes.server import at_rest
from tests.webrtc_server.test_websocket import Client, as_file, client_of, processed, scene

pytestmark = pytest.mark.logs_errors("has lost its device|is stalled|hangs and is killed")
SLOW = pytest.mark.slow
GAP = 5.0  # seconds; promised are 0.5, on a machine that has nothing else to do


@pytest.mark.parametrize("kills", [4, pytest.param(20, marks=SLOW)])
async def test_every_kill_is_recovered_from(start_server: StartServer, kills: int) -> None:
    server = await start_server("identity")
    told, gone, gaps = [], [], []
    settings: dict[str, object] = {"pipeline": "fault", "seed": 9}
    async with RtcClient(server.url, 320, 240, settings=settings) as client, client_of(server.url) as other:
        await client.until(paints(client))
        for _ in range(kills):
            await until_painted(other)
            client.messages.clear()
            killed = time.monotonic()
            server.kill_worker()
            passthrough = await client.message("status", timeout=GAP, state="passthrough")
            told.append(time.monotonic() - killed)
            assert passthrough["reason"] == "worker_restarting"
            running = await client.message("status", timeout=20, state="running")
            assert (running["settings"]["pipeline"], running["settings"]["seed"]) == ("fault", 9)
            await client.until(paints(client))
            gone.append(time.monotonic() - killed)
            gaps.append(longest_gap(client, killed))
            assert gaps[-1] < GAP
            server.forget_deaths()
        assert client.pc.connectionState == "connected"
    assert server.worker_restarts == kills
    report("told", told)
    report("painted again", gone)
    report("output gap", gaps)


def report(what: str, seconds: list[float]) -> None:
    """For `pytest -s`: the promised figures."""
    sys.stdout.write(f"{what}: median {median(seconds):.3f} s, worst {max(seconds):.3f} s of {len(seconds)}\n")


@SLOW
@pytest.mark.parametrize("prompt", ["hang", "freeze"])
async def test_a_hang_is_over_within_twelve_seconds(start_server: StartServer, prompt: str) -> None:
    server = await start_server("fault")
    async with RtcClient(server.url, 320, 240) as client, client_of(server.url) as other:
        await client.until(paints(client))
        await until_painted(other)
        begun = time.monotonic()
        client.send("settings", {"prompt": prompt})
        await client.message("status", timeout=5, state="passthrough", reason="worker_stalled")
        told = time.monotonic() - begun
        client.send("settings", {"prompt": "fine"})
        await client.message("status", timeout=20, state="running")
        await client.until(paints(client))
        painted_again = time.monotonic() - begun
        await until_painted(other)
        report("told", [told])
        report("painted again", [painted_again])
        report("output gap", [longest_gap(client, begun)])
        assert told < 4  # promised are 2, and 12 for the next
        assert painted_again < 40
    assert server.worker_restarts == 1


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
        await until_painted(other)
    assert server.worker_restarts >= 1


async def until_painted(client: Client, timeout: float = 20) -> None:
    async with asyncio.timeout(timeout):
        while not await processed(client):
            await asyncio.sleep(0.02)


async def status_of(client: Client, state: str, timeout: float = 20) -> dict[str, Any]:
    async with asyncio.timeout(timeout):
        while True:
            status = await client.message("status")
            if status["state"] == state:
                return status


def paints(client: RtcClient) -> Callable[[], bool]:
    """Whether the last frames are painted, from now on."""
    before = len(client.received)
    return lambda: len(client.received) > before + 3 and all(frame.number is None for frame in client.received[-2:])


def longest_gap(client: RtcClient, since: float) -> float:
    return max(b.at - a.at for a, b in pairwise(client.received) if b.at > since)


async def test_out_of_memory_is_told_once_a_second_and_in_the_end_not_tried_any_more(start_server: StartServer) -> None:
    server = await start_server("fault")
    async with RtcClient(server.url, settings={"prompt": "oom"}) as client, client_of(server.url) as other:
        error = await client.message("error", timeout=20)
        assert (error["code"], error["retryable"]) == ("gpu_oom", True)
        assert "smaller size" in error["fix"]
        begun = time.monotonic()
        status = await client.message("status", timeout=20, state="passthrough", reason="apply_failed")
        assert "again and again" in status["message"]
        errors = [message for message in client.messages if message["type"] == "error"]
        assert len(errors) <= time.monotonic() - begun + 2
        await until_painted(other)
        assert server.worker_restarts == 2
        [session] = [one for one in server.manager.sessions.values() if one.settings.prompt == "oom"]
        assert session.statistics.frames["painted"] == 0
        await client.frames(10)
        client.send("settings", {"prompt": "fine"})
        await client.message("settings_applied")
        await client.until(paints(client))
        assert server.worker_restarts == 2


async def test_settings_without_memory_give_way_to_the_last_that_worked(start_server: StartServer) -> None:
    server = await start_server("fault")
    small = {"prompt": "large oom", "width": 256, "height": 256}
    async with RtcClient(server.url, settings=small) as client:
        await client.until(paints(client))
        await client.until(lambda: len(client.received) > 30)
        client.send("settings", {"width": 512, "height": 512}, "more")
        await client.message("settings_applied", id="more", version=1)
        error = await client.message("error")
        assert (error["code"], error["message"].endswith("in force again.")) == ("gpu_oom", True)
        status = await client.message("status", settings_version=2)
        assert (status["state"], status["settings"]["width"], status["settings"]["height"]) == ("running", 256, 256)
        client.send("settings", {"seed": 3}, "next")
        assert (await client.message("settings_applied", id="next"))["version"] == 3
        await client.until(paints(client))
    assert server.worker_restarts == 0


@pytest.mark.parametrize("prompt", ["exit 3", "kill", "poison", "raise", "after 3 exit 3", "exit-apply"])
async def test_deadly_settings_of_one_cost_two_workers_and_are_taken_back(
    start_server: StartServer, prompt: str
) -> None:
    server = await start_server("fault")
    async with RtcClient(server.url, settings={"seed": 9}) as client, client_of(server.url) as other:
        await client.until(paints(client))
        await client.until(lambda: len(client.received) > 30)
        await until_painted(other)
        begun = time.monotonic()
        client.send("settings", {"prompt": prompt})
        error = await client.message("error", timeout=20, code="apply_failed")
        assert "again and again" in error["message"]
        status = await client.message("status", timeout=20, state="running")
        assert status["settings"]["prompt"] == Settings().prompt
        assert status["settings"]["seed"] == 9
        await client.until(paints(client))
        await until_painted(other)
        assert server.worker_restarts == 2
        assert longest_gap(client, begun) < GAP
        assert client.pc.connectionState == "connected"


async def test_who_is_deadly_from_the_start_is_left_alone_until_other_settings_come(start_server: StartServer) -> None:
    server = await start_server("fault")
    async with client_of(server.url) as other:
        await until_painted(other)
        async with RtcClient(server.url, settings={"prompt": "crash"}) as client:
            status = await client.message("status", timeout=20, state="passthrough", reason="apply_failed")
            assert "again and again" in status["message"]
            await until_painted(other)
            await client.frames(20)
            assert await processed(other)
            assert server.worker_restarts == 2
            client.send("settings", {"prompt": "fine"}, "mended")
            assert (await client.message("settings_applied", id="mended"))["version"] == 1
            await client.message("status", state="running")
            await client.until(paints(client))
            assert server.worker_restarts == 2


async def until_found_guilty(client: Client) -> None:
    """It shows a picture to each worker."""
    while (status := await client.message("status"))["reason"] != "apply_failed":
        if status["state"] in ("running", "no_input"):
            await client.socket.send(as_file(scene(64, 48)))


async def test_who_is_deadly_is_so_after_a_reload_too(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webrtc_server.sessions.session.JOIN_TIMEOUT", 60.0)
    server = await start_server("fault", prompt="crash")
    async with client_of(server.url, "?client_id=me") as client:
        await until_found_guilty(client)
        async with client_of(server.url, "?client_id=me") as again:
            assert (await again.message("status"))["reason"] == "apply_failed"
            await server.worker_is("ready")
            for _ in range(3):
                assert not await processed(again)  # and at once: nobody is about to take it
            assert server.worker_restarts == 2
            await again.send("settings", {"prompt": "fine"})
            await again.message("settings_applied")
            await until_painted(again)
    assert server.worker_restarts == 2


async def test_a_reload_while_the_worker_hangs_is_no_way_out(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.policy.supervision.KILL_AFTER", 0.5)
    monkeypatch.setattr("pipeline.policy.supervision.PREPARING_KILL_AFTER", 0.5)
    server = await start_server("fault", prompt="hang")
    async with client_of(server.url, "?client_id=me") as client:
        await client.socket.send(as_file(scene(64, 48)))
        while (await status_of(client, "passthrough"))["reason"] != "worker_stalled":
            pass
        async with client_of(server.url, "?client_id=me") as again:
            [session] = server.manager.sessions.values()
            assert session._worker._blame.is_suspect
            await until_found_guilty(again)


async def test_whose_picture_the_worker_hangs_at_is_not_let_go_meanwhile(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webrtc_server.policy.deadlines.REST_AFTER", 2.5)
    monkeypatch.setattr("pipeline.policy.supervision.KILL_AFTER", 2.0)
    monkeypatch.setattr("pipeline.policy.supervision.PREPARING_KILL_AFTER", 2.0)
    server = await start_server("fault", prompt="hang")
    async with client_of(server.url) as client:
        await client.socket.send(as_file(scene(64, 48)))
        await server.worker_is("down", timeout=15)
        [session] = server.manager.sessions.values()
        async with asyncio.timeout(5):
            while not session._worker._blame.is_suspect:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("prompt", ["hang", "freeze", "hang-apply"])
async def test_a_hang_is_told_within_two_seconds_and_ended(
    start_server: StartServer, prompt: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.policy.supervision.KILL_AFTER", 0.5)
    monkeypatch.setattr("pipeline.policy.supervision.PREPARING_KILL_AFTER", 0.5)
    server = await start_server("fault")
    async with RtcClient(server.url, settings={"seed": 9}) as client, client_of(server.url) as other:
        await client.until(paints(client))
        await until_painted(other)
        begun = time.monotonic()
        client.send("settings", {"prompt": prompt})
        await other.socket.send(as_file(scene(64, 48)))
        await client.message("status", timeout=4, state="passthrough", reason="worker_stalled")
        client.send("settings", {"prompt": "fine"})  # or the next one would hang as well
        await other.picture()  # painted or not, it comes
        await client.message("status", timeout=5, state="passthrough", reason="worker_restarting")
        status = await client.message("status", timeout=20, state="running")
        assert (status["settings"]["seed"], status["settings"]["prompt"]) == (9, "fine")
        await client.until(paints(client))
        await until_painted(other)
        assert server.worker_restarts == 1
        assert longest_gap(client, begun) < GAP


async def test_a_late_answer_is_no_second_one_and_gives_its_slot_back(start_server: StartServer) -> None:
    server = await start_server("fault")
    async with client_of(server.url) as client:
        await client.send("settings", {"prompt": "slow 2.5"})
        await client.message("settings_applied")
        for _ in range(3):
            await client.socket.send(as_file(scene(64, 48)))
        stalled = await status_of(client, "passthrough")
        assert stalled["reason"] == "worker_stalled"
        await status_of(client, "no_input")  # well again; only that no picture has come meanwhile
        await client.send("settings", {"prompt": "fine"})
        await client.message("settings_applied")
        for _ in range(5):
            assert await processed(client)
        [session] = server.manager.sessions.values()
        assert session.statistics.dropped["too_late"] == 1
        assert session.stats(time.monotonic()).queues == {"waiting": 0, "in_flight": 0}
    assert server.worker_restarts == 0


async def test_five_deaths_in_a_minute_degrade_the_server_until_a_trial_succeeds(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.policy.supervision.LONGEST_DELAY", 1.5)
    monkeypatch.setattr("pipeline.policy.supervision.FIRST_DELAY", 0.05)
    server = await start_server("identity")
    async with RtcClient(server.url) as client, aiohttp.ClientSession(server.url) as http:
        await client.frames(5)
        for _ in range(5):
            await server.worker_is("ready")
            server.kill_worker()
            await server.worker_left_ready()
        degraded = await client.message("status", state="degraded")
        assert (degraded["reason"], degraded["retry_in_s"]) == ("worker_restarting", 1.5)
        async with http.get("/readyz") as response:
            assert response.status == 503
            assert (await response.json())["reasons"][0]["code"] == "worker_restarting"
        await client.frames(5)
        await client.message("status", timeout=20, state="running")
        async with http.get("/readyz") as response:
            assert response.status == 200


LOADS = "LIVE_DIFFUSION_TEST_LOAD"


async def test_a_load_that_fails_is_told_without_the_operator_s_folders(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(LOADS, "fail")
    server = await start_server("fault")
    async with client_of(server.url) as client:
        status = await status_of(client, "running")
        assert status["pipeline"] != "fault"
        assert "cannot be loaded from fault.bin, on command" in status["message"]
    assert "/srv/models/fault.bin" in capfd.readouterr().err


@pytest.mark.parametrize("load", ["slow 1.5", "freeze 3"])
async def test_a_pipeline_that_loads_for_long_is_waited_for(
    start_server: StartServer, load: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webrtc_server.sessions.applier.APPLY_TIMEOUT", 0.5)
    monkeypatch.setattr("pipeline.policy.supervision.KILL_AFTER", 0.2)
    monkeypatch.setenv(LOADS, load)
    server = await start_server("identity")
    async with client_of(server.url) as client:
        await client.send("settings", {"pipeline": "fault"}, "choice")
        assert (await client.message("settings_applied"))["settings"]["pipeline"] == "fault"
        await until_painted(client)
    assert server.worker_restarts == 0


async def test_a_pipeline_that_hangs_while_it_loads_is_given_up(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LOADS, "hang")
    server = await start_server("identity")
    monkeypatch.setattr("pipeline.policy.supervision.LOAD_TIMEOUT", 3.0)
    async with client_of(server.url) as client:
        for _ in range(12):
            assert await processed(client)
        await client.send("settings", {"pipeline": "fault"}, "choice")
        error = await client.message("error")
        assert error["code"] == "apply_failed"
        status = await status_of(client, "no_input")
        assert status["settings"]["pipeline"] == "identity"
        await until_painted(client)
    assert server.worker_restarts >= 2  # more if this machine is too busy to start one in that time


@pytest.mark.parametrize("prompt", ["", "hang", "freeze"])
def test_a_killed_server_takes_its_worker_along_whatever_it_is_stuck_in(prompt: str) -> None:
    command = [sys.executable, "-m", "tests.fakes.server", "fault"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            url = next(line.split()[-1] for line in server.stdout if line.startswith("listening"))
            [worker] = psutil.Process(server.pid).children()
            with connect_sync(url.replace("http", "ws") + "/ws") as socket:
                socket.send(json.dumps({"type": "settings", "data": {"prompt": prompt or "fine"}}))
                while json.loads(socket.recv(timeout=10))["type"] != "settings_applied":
                    pass
                socket.send(as_file(scene(64, 48)))
                if prompt:
                    while "worker_stalled" not in str(socket.recv(timeout=10)):
                        pass
                server.kill()
        finally:
            server.kill()
    try:
        worker.wait(5)
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            worker.kill()


async def test_twenty_connections_leave_nothing_behind(start_server: StartServer) -> None:
    server = await start_server("identity")
    tasks, before = await at_rest(server)
    for _ in range(20):
        async with RtcClient(server.url, fps=60) as client:
            await client.frames(2)
        while server.manager.sessions:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.5)
    assert len(asyncio.all_tasks()) == tasks
    assert not leaked(before)
