"""Another model is loaded while people are painted: nobody is thrown out, and whatever the model does, they go on."""

from __future__ import annotations

import asyncio
import re
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from structlog.testing import capture_logs

from pipeline.worker.messages import LoadModel
from tests.conftest import StartServer
from tests.fakes import greys
from tests.fakes.rtc_client import RtcClient
from tests.fakes.server import RunningServer
from tests.webrtc_server.test_websocket import Client, as_file, client_of, scene
from webrtc_server.web.app import SUPERVISOR

pytestmark = pytest.mark.usefixtures("models_on_command")


@pytest.fixture
async def server(start_server: StartServer) -> RunningServer:
    return await start_server("greys")


async def grey(client: Client) -> int | None:
    """What a picture is painted with now; None for one that comes back as it was."""
    await client.socket.send(as_file(scene(64, 48)))
    description, image = await client.picture()
    pixels = np.asarray(image)
    return int(pixels[0, 0, 0]) if description["processed"] and pixels.std() == 0 else None


async def status_with(client: Client, timeout: float = 15, **wanted: Any) -> dict[str, Any]:  # noqa: ANN401
    async with asyncio.timeout(timeout):
        while True:
            status = await client.message("status")
            if all(status[name] == value for name, value in wanted.items()):
                return status


def shows(client: RtcClient, grey: int) -> bool:
    frame = client.last_frame
    return frame is not None and abs(float(frame.to_ndarray(format="yuv420p")[: frame.height].mean()) - grey) < 5


async def test_everybody_gets_the_new_model_and_nobody_waits_for_it(server: RunningServer) -> None:
    painted = RtcClient(server.url, 160, 128, 15, settings={"seed": 9, "prompt": "ink"})
    async with painted as client, client_of(server.url) as other:
        await client.until(lambda: shows(client, 80))
        assert await grey(other) == 80
        client.messages.clear()
        begun = time.monotonic()
        with capture_logs() as log:
            client.send("load_model", {"model": "slow-grey-120"}, "mine")
            first = await client.message("status", id="mine")
            assert (first["state"], first["model"]) == ("running", "grey-80")
            assert await grey(other) == 80
            statuses = [first]
            while statuses[-1]["model"] != "slow-grey-120":
                statuses.append(await client.message("status", timeout=5))
        *under_way, status = statuses
        assert len(statuses) <= 4 * (time.monotonic() - begun) + 4  # and at its two ends
        assert {each["state"] for each in statuses} == {"running"}
        assert all(each["progress"] for each in under_way)
        download = [each for each in under_way if each["progress"]["stage"] == "download"][-1]
        progress = download["progress"]
        assert (progress["unit"], progress["total"]) == ("MB", greys.SLOW_STEPS)
        assert 0 < progress["eta_s"] < 2
        assert re.fullmatch(
            r"Loading Slow Grey 120: download, \d+ %, about [12] s left\. The old model goes on painting\.",
            download["message"],
        )
        assert (status["progress"], status["device"]) == (None, "a grey card")
        assert (status["settings"]["seed"], status["settings_version"]) == (9, 0)
        notice = "slow-grey-120 may be used by tests."
        assert status["notes"] == ["slow-grey-120: ink", notice]
        assert [entry["notice"] for entry in log if entry["event"] == "model loaded"] == [notice]
        await status_with(other, model="slow-grey-120", progress=None)
        assert await grey(other) == 120
        await client.until(lambda: shows(client, 120))
        gaps = [b.at - a.at for a, b in pairwise(client.received) if b.at > begun]
        assert max(gaps) < 0.5
        assert server.worker_restarts == 0
    async with aiohttp.ClientSession(server.url) as http:
        async with http.get("/api/models") as response:
            models = (await response.json())["models"]
        async with http.get("/api/status") as response:
            of_all = await response.json()
    assert [model["key"] for model in models] == list(greys.KEYS) == status["models"] == of_all["models"]
    assert [model["key"] for model in models if model["loaded"]] == ["slow-grey-120"] == [of_all["model"]]
    wanted = {"title": "Grey 80", "licence": "MIT", "notice": "grey-80 may be used by tests.", "loaded": False}
    assert models[0] == wanted | {"key": "grey-80", "steps": 1, "cfg_type": "none"}


@pytest.mark.parametrize(
    ("key", "why", "fix"),
    [
        ("broken", "broken on purpose", "do not ask for it"),
        ("buggy", "RuntimeError: on command", ""),
        ("unable", "no kernel image", ""),
    ],
)
@pytest.mark.logs_errors("model not loaded")
async def test_a_model_that_fails_costs_nothing(server: RunningServer, key: str, why: str, fix: str) -> None:
    async with client_of(server.url) as asker, client_of(server.url) as other:
        await asker.send("load_model", {"model": key}, "mine")
        error = await asker.message("error")
        assert (error["code"], fix in error["fix"]) == ("model_load_failed", True)
        assert why in error["message"]
        status = await status_with(other, progress=None, state="running", model="grey-80")
        while why not in status["message"]:
            status = await other.message("status")
        assert await grey(asker) == await grey(other) == 80
        await asker.send("load_model", {"model": "grey-90"})
        while (status := await status_with(other, model="grey-90"))["progress"]:
            pass
        assert why not in status["message"]
        assert await grey(asker) == 90
    assert server.worker_restarts == 0


@pytest.mark.parametrize("key", ["deadly", "lost", "endless"])
@pytest.mark.logs_errors("model not loaded|has lost its device")
async def test_a_worker_that_dies_of_a_model_is_followed_by_one_with_the_model_before(
    server: RunningServer, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.policy.supervision.LOAD_TIMEOUT", 6 if key == "endless" else 60)
    async with client_of(server.url) as client:
        await client.send("settings", {"prompt": "ink"})
        await client.send("load_model", {"model": "grey-90"})
        await status_with(client, model="grey-90")
        await client.send("load_model", {"model": key}, "mine")
        error = await client.message("error")
        assert error["code"] == "model_load_failed"
        status = await status_with(client, state="running", model="grey-90")
        assert status["settings"]["prompt"] == "ink"
        assert status["message"] == error["message"]
        assert await grey(client) == 90
    assert server.worker_restarts == 1


async def test_the_model_asked_for_last_outlives_the_worker(server: RunningServer) -> None:
    async with client_of(server.url) as client:
        await client.send("load_model", {"model": "grey-90"})
        await status_with(client, model="grey-90")
        server.kill_worker()
        await status_with(client, state="passthrough")
        await status_with(client, state="running", model="grey-90")
        assert await grey(client) == 90


@pytest.mark.logs_errors("cannot be loaded again")
@pytest.mark.parametrize("key", ["broken", "unable", "deadly"])
async def test_a_model_that_cannot_be_had_again_is_followed_by_the_operator_s(server: RunningServer, key: str) -> None:
    async with client_of(server.url) as client:
        await client.send("settings", {"prompt": "ink"})
        await client.message("settings_applied")
        server.app[SUPERVISOR]._wish = LoadModel("greys", key)  # as if it had been loaded before its file was broken
        server.kill_worker()
        await status_with(client, state="passthrough")
        status = await status_with(client, state="running", model="grey-80")
        assert (status["pipeline"], status["settings"]["prompt"]) == ("greys", "ink")
        assert await grey(client) == 80
    assert server.worker_restarts == 2


async def test_wishes_that_are_refused(server: RunningServer) -> None:
    async with client_of(server.url) as client, client_of(server.url) as other:
        for key in ("../../etc/passwd", "stabilityai/sd-turbo", "nothing"):
            await client.send("load_model", {"model": key})
            error = await client.message("error")
            assert error["code"] == "unknown_model"
            assert "grey-80" in error["fix"]
        await client.send("load_model", {"model": "grey-80"}, "there already")
        assert (await client.message("status"))["progress"] is None
        await client.send("load_model", {"model": "slow-grey-120"})
        await status_with(other, state="running", model="grey-80")
        while not (status := await other.message("status"))["progress"] or status["progress"]["stage"] != "download":
            pass
        for key in ("grey-90", "slow-grey-120", "grey-80"):
            await other.send("load_model", {"model": key}, "too late")
            error = await other.message("error")
            assert error["code"] == "model_loading"
            assert error["message"].startswith("Slow Grey 120 is being loaded: download, ")
        await status_with(client, model="slow-grey-120")


async def test_without_a_pipeline_for_them_there_are_no_models(start_server: StartServer) -> None:
    server = await start_server("identity")
    server.manager.painters.available.pop("greys")
    async with client_of(server.url) as client:
        assert (await client.message("status"))["models"] == []
        await client.send("load_model", {"model": "grey-80"})
        error = await client.message("error")
        assert error["code"] == "unknown_model"
        assert "greys, which is not available here" in error["message"]
    async with aiohttp.ClientSession(server.url) as http, http.get("/api/models") as response:
        assert await response.json() == {"models": []}


async def test_a_pipeline_that_nobody_chose_yet_gets_its_model_too(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with client_of(server.url) as client:
        first = await status_with(client, state="running")
        assert (first["model"], first["device"]) == (None, "cpu")
        await client.send("load_model", {"model": "grey-90"})
        await status_with(client, model="grey-90", device="cpu")
        await client.send("settings", {"pipeline": "greys"})
        await status_with(client, device="a grey card", pipeline="greys")
        assert await grey(client) == 90


async def test_a_pipeline_loaded_for_a_session_says_its_model(start_server: StartServer) -> None:
    server = await start_server("identity", model="grey-90")
    async with client_of(server.url) as client:
        await client.send("settings", {"pipeline": "greys"})
        await status_with(client, model="grey-90", device="a grey card")


async def test_settings_that_the_new_model_refuses_show_the_camera_until_others_come(server: RunningServer) -> None:
    async with client_of(server.url) as odd, client_of(server.url) as other:
        await odd.send("settings", {"prompt": "odd", "seed": 9})
        await odd.message("settings_applied")
        await odd.send("load_model", {"model": "picky-grey-150"})
        assert (await odd.message("error"))["message"] == "too odd for it"
        status = await status_with(odd, state="passthrough", model="picky-grey-150")
        assert (status["reason"], status["settings"]["prompt"]) == ("apply_failed", "odd")
        assert await grey(odd) is None
        assert await grey(other) == 150
        await odd.send("load_model", {"model": "slow-grey-120"})
        assert (await status_with(odd, state="loading"))["progress"]
        await status_with(odd, progress=None, model="slow-grey-120")
        assert await grey(odd) == 120
        await odd.send("load_model", {"model": "picky-grey-150"})
        await status_with(odd, state="passthrough", model="picky-grey-150")
        await odd.send("settings", {"prompt": "even"})
        assert (await odd.message("settings_applied"))["settings"]["seed"] == 9
        assert await grey(odd) == 150


async def test_a_session_keeps_its_pipeline_when_the_new_model_refuses_it(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with client_of(server.url) as odd:
        await odd.send("settings", {"pipeline": "greys", "prompt": "odd"})
        await odd.message("settings_applied")
        await odd.send("load_model", {"model": "picky-grey-150"})
        await status_with(odd, state="passthrough", model="picky-grey-150")
        await odd.send("settings", {"prompt": "even"})
        assert (await odd.message("settings_applied"))["settings"]["pipeline"] == "greys"


async def test_the_operator_s_own_model_is_known_by_its_name(start_server: StartServer, tmp_path: Path) -> None:
    folder = tmp_path / "mine-70"
    folder.mkdir()
    server = await start_server("greys", model=str(folder))
    async with client_of(server.url) as client:
        status = await status_with(client, state="running", model="mine-70")
        assert status["models"] == [*greys.KEYS, "mine-70"]
        await client.send("load_model", {"model": "grey-90"})
        status = await status_with(client, model="grey-90")
        assert "mine-70" in status["models"]
        await client.send("load_model", {"model": str(folder)})
        assert (await client.message("error"))["code"] == "unknown_model"
        await client.send("load_model", {"model": "mine-70"})
        await status_with(client, model="mine-70")
        assert await grey(client) == 70
    async with aiohttp.ClientSession(server.url) as http, http.get("/api/models") as response:
        own = (await response.json())["models"][-1]
    assert own == {
        "key": "mine-70",
        "title": "mine-70",
        "licence": "",
        "notice": "",
        "steps": None,
        "cfg_type": None,
        "loaded": True,
    }


async def test_what_shows_only_after_a_rebuild_is_named(server: RunningServer) -> None:
    async with client_of(server.url) as client:
        await client.send("settings", {"steps": 2, "seed": 9, "cfg_type": "self"})
        applied = await client.message("settings_applied")
        assert (applied["rebuilding"], applied["changed"]) == (["steps", "cfg_type"], ["seed", "steps", "cfg_type"])
        await client.socket.send(as_file(scene(64, 48)))
        assert (await client.message("status"))["settings_version"] == 1  # it shows
        assert (await client.picture())[0]["settings_version"] == 1
        await client.send("settings", {"seed": 10})
        assert (await client.message("settings_applied"))["rebuilding"] == []


async def test_a_session_at_rest_is_not_told_that_it_is_not_painted(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webrtc_server.policy.deadlines.REST_AFTER", 0.6)
    async with client_of(server.url) as silent, client_of(server.url) as asker:
        assert await grey(silent) == 80
        [session, _] = server.manager.sessions.values()
        async with asyncio.timeout(10):
            while session._worker.is_connected or session.status().state != "no_input":
                await asyncio.sleep(0.02)
        await asker.send("load_model", {"model": "slow-grey-120"})
        while not (status := await silent.message("status"))["progress"]:
            pass
        assert status["state"] == "no_input"
