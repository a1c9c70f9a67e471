"""The HTTP surface: what each route answers, and every refusal as a problem with a code and a fix."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from pipeline.settings import Settings
from pipeline.worker.supervisor import Supervisor
from tests.conftest import StartServer
from tests.fakes.rtc_client import RtcClient
from tests.fakes.server import RunningServer
from webrtc_server.config import Config
from webrtc_server.static_files import static_dir
from webrtc_server.web import info_api
from webrtc_server.web.app import worker_environment


@pytest.fixture
async def server(start_server: StartServer) -> RunningServer:
    return await start_server("identity", max_sessions=2, queue_length=0, prompt="dream")


@pytest.fixture
async def http(server: RunningServer) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(server.url) as session:
        yield session


async def test_health_status_and_schema(http: aiohttp.ClientSession) -> None:
    async with http.get("/healthz") as response:
        assert (response.status, (await response.json())["status"]) == (200, "ok")
    async with http.get("/readyz") as response:
        assert (response.status, await response.json()) == (200, {"ready": True, "reasons": []})
    async with http.get("/api/status") as response:
        status = await response.json()
        assert (status["state"], status["pipeline"], status["sessions"], status["max_sessions"]) == (
            "running",
            "identity",
            0,
            2,
        )
        assert "identity" in status["pipelines"]
    async with http.get("/api/settings/schema") as response:
        schema = await response.json()
        assert schema["properties"].keys() == Settings.model_fields.keys()
        assert schema["properties"]["prompt"]["default"] == "dream"
        assert "identity" in schema["properties"]["pipeline"]["enum"]
    async with http.get("/api/ice") as response:
        assert await response.json() == {"iceServers": []}
    async with http.get("/api/version") as response:
        assert (await response.json())["protocol"] == 1


async def test_the_settings_schema_is_made_once(server: RunningServer, http: aiohttp.ClientSession) -> None:
    """It needs no token, and was 6 ms of the event loop for each who asked."""
    async with http.get("/api/settings/schema") as response:
        assert "effects" in (await response.json())["properties"]["pipeline"]["enum"]
    made = info_api._schema.cache_info().misses
    for _ in range(3):
        async with http.get("/api/settings/schema") as response:
            assert response.status == 200
    assert info_api._schema.cache_info().misses == made
    server.manager.painters.available.pop("effects")
    async with http.get("/api/settings/schema") as response:
        assert "effects" not in (await response.json())["properties"]["pipeline"]["enum"]


async def test_ice_servers_are_those_configured(start_server: StartServer) -> None:
    turn = {"urls": ["turn:127.0.0.1:1"], "username": "me", "credential": "secret"}
    server = await start_server("identity", ice_servers=json.dumps(["stun:127.0.0.1:1", turn]))
    async with aiohttp.ClientSession(server.url) as http, http.get("/api/ice") as response:
        assert await response.json() == {"iceServers": [{"urls": ["stun:127.0.0.1:1"]}, turn]}
        assert response.headers["Cache-Control"] == "no-store"


async def test_page_and_its_security_headers(http: aiohttp.ClientSession) -> None:
    async with http.get("/") as response:
        assert response.status == 200
        assert "<html" in (await response.text()).lower()
        policy = response.headers["Content-Security-Policy"]
        rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
        assert (rules["default-src"], rules["connect-src"], rules["frame-ancestors"]) == ("'self'",) * 3
        assert "unsafe" not in policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert "camera=(self)" in response.headers["Permissions-Policy"]
        assert response.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    for path in ("/static/../pyproject.toml", "/static/..%2fpyproject.toml", "/static/", "/nothing"):
        async with http.get(path) as response:
            problem = await response.json()
            assert (response.status in (403, 404), response.content_type) == (True, "application/problem+json"), path
            assert problem["fix"]


SENDS_VIDEO = """v=0
o=- 1 1 IN IP4 0.0.0.0
s=-
t=0 0
m=video 9 UDP/TLS/RTP/SAVPF 96
c=IN IP4 0.0.0.0
a=mid:0
a=sendrecv
a=rtcp-mux
a=ice-ufrag:abcd
a=ice-pwd:abcdefghijklmnopqrstuvwx
a=fingerprint:sha-256 """ + ":".join(["00"] * 32)

GOOD = {"sdp": "v=0", "type": "offer"}


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (json.dumps(GOOD), {"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
        (json.dumps(GOOD), {"Origin": "http://evil.example"}, 403, "origin_denied"),
        (json.dumps(GOOD), {"Origin": "null"}, 403, "origin_denied"),
        (json.dumps(GOOD), {"Origin": "http://["}, 403, "origin_denied"),
        (json.dumps(GOOD), {"Content-Encoding": "gzip"}, 400, "bad_message"),
        ("{", {}, 400, "bad_message"),
        ('{"sdp": "v=0", "type": "offer", "type": "offer"}', {}, 400, "bad_message"),
        (json.dumps(GOOD | {"type": "answer"}), {}, 400, "bad_message"),
        (json.dumps(GOOD | {"codec": "x"}), {}, 400, "bad_message"),
        (json.dumps({"type": "offer"}), {}, 400, "bad_message"),
        (json.dumps(GOOD | {"sdp": 5}), {}, 400, "bad_message"),
        (json.dumps({"sdp": SENDS_VIDEO, "type": "offer", "settings": {"steps": 0}}), {}, 400, "invalid_settings"),
        (json.dumps(GOOD), {}, 400, "no_video"),
        (json.dumps(GOOD | {"sdp": "hello"}), {}, 400, "bad_sdp"),
        (json.dumps(GOOD | {"sdp": "v=0\n" + "a=x\n" * 20_000}), {}, 413, "too_large"),
        (json.dumps(GOOD | {"sdp": "x" * 200_000}), {}, 413, "too_large"),
    ],
)
async def test_bad_offers_are_problems_and_leave_no_session(
    server: RunningServer, http: aiohttp.ClientSession, body: str, headers: dict[str, str], status: int, code: str
) -> None:
    async with http.post("/offer", data=body, headers={"Content-Type": "application/json"} | headers) as response:
        problem: dict[str, Any] = await response.json()
        assert (response.status, problem["code"], problem["status"]) == (status, code, status)
        assert problem["detail"]
        assert problem["fix"]
        assert problem["type"] == f"/docs/errors#{code}"
    assert not server.manager.sessions


async def test_offers_that_only_the_library_can_judge(server: RunningServer, http: aiohttp.ClientSession) -> None:
    setup = SENDS_VIDEO + "\na=setup:actpass\na=rtpmap:96 H265/90000\n"
    async with http.post("/offer", json={"sdp": setup, "type": "offer"}) as response:
        assert (response.status, (await response.json())["code"]) == (406, "no_common_codec")
    broken = setup.replace("H265/90000", "VP8/lots")
    async with http.post("/offer", json={"sdp": broken, "type": "offer"}) as response:
        assert (response.status, (await response.json())["code"]) == (400, "bad_sdp")
    assert not server.manager.sessions


async def test_the_page_travels_compressed(server: RunningServer) -> None:
    async with aiohttp.ClientSession(server.url, auto_decompress=False) as http:
        for path in ("/", "/static/js/main.js", "/static/css/app.css"):
            async with http.get(path, headers={"Accept-Encoding": "gzip"}) as response:
                assert response.headers["Content-Encoding"] == "gzip"
                packed = await response.read()
            async with http.get(path, headers={"Accept-Encoding": "identity"}) as response:
                assert "Content-Encoding" not in response.headers
                assert gzip.decompress(packed) == await response.read()
            asked = {"Accept-Encoding": "gzip", "Range": "bytes=0-9"}
            async with http.get(path, headers=asked) as response:
                assert (response.status, response.headers.get("Content-Encoding")) == (206, None)


async def test_large_files_are_not_packed_for_each_who_asks(server: RunningServer) -> None:
    async with aiohttp.ClientSession(server.url, auto_decompress=False) as http:
        for plain in (static_dir() / "vendor").glob("*.js"):
            for encoding, sent in (("gzip, deflate", plain.with_name(f"{plain.name}.gz")), ("deflate", plain)):
                path = f"/static/vendor/{plain.name}"
                async with http.get(path, headers={"Accept-Encoding": encoding}) as response:
                    assert response.headers.get("Content-Encoding") == ("gzip" if sent.suffix == ".gz" else None)
                    assert response.content_type.endswith("/javascript")
                    assert await response.read() == sent.read_bytes()


async def test_not_ready_says_why(server: RunningServer, http: aiohttp.ClientSession) -> None:
    async with RtcClient(server.url) as first, RtcClient(server.url) as second, http.get("/readyz") as response:
        assert response.status == 503
        for client in (first, second):  # aiortc does not end a connection cleanly that it is still making
            await client.message("status")
        assert [reason["code"] for reason in (await response.json())["reasons"]] == ["capacity"]
    server.kill_worker()
    await server.worker_is("down")
    async with http.get("/readyz") as response:
        assert "worker_restarting" in [reason["code"] for reason in (await response.json())["reasons"]]


async def test_pages_of_allowed_origins_may_use_the_server(start_server: StartServer) -> None:
    server = await start_server("identity", allowed_origins="http://friend.example")
    friend, stranger = {"Origin": "http://friend.example"}, {"Origin": "http://stranger.example"}
    async with aiohttp.ClientSession(server.url) as http:
        async with http.options("/offer", headers=friend | {"Access-Control-Request-Method": "POST"}) as response:
            assert response.status == 204
            assert response.headers["Access-Control-Allow-Origin"] == "http://friend.example"
            assert response.headers["Access-Control-Allow-Headers"] == "Authorization, Content-Type, If-Match"
            assert response.headers["Vary"] == "Origin"
        for path in ("/static/js/client.js", "/static/vendor/uqr.js"):  # packed on the way, packed before
            async with http.get(path, headers=friend) as response:
                assert response.headers["Vary"] == "Accept-Encoding, Origin"
        async with http.post("/offer", json=GOOD, headers=friend) as response:
            assert response.status == 400
            assert response.headers["Access-Control-Allow-Origin"] == "http://friend.example"
        async with http.get("/api/status", headers=stranger) as response:
            assert response.status == 200
            assert "Access-Control-Allow-Origin" not in response.headers
        async with http.post("/offer", json=GOOD, headers=stranger) as response:
            assert response.status == 403


def test_the_worker_is_told_its_model_card_and_form_of_log(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = {"LIVE_DIFFUSION_VAE": "tiny", "LIVE_DIFFUSION_ATTENTION": "sdpa", "LIVE_DIFFUSION_LOG_FORMAT": "json"}
    monkeypatch.setattr("sys.stderr.isatty", lambda: False)
    assert worker_environment(Config()) == plain
    assert worker_environment(Config(log_format="console"))["LIVE_DIFFUSION_LOG_FORMAT"] == "console"
    told = worker_environment(Config(model="sd-turbo", gpu_device=1, vae="full", model_dir="/models"))
    assert told == plain | {
        "LIVE_DIFFUSION_MODEL": "sd-turbo",
        "LIVE_DIFFUSION_VAE": "full",
        "LIVE_DIFFUSION_MODEL_DIR": "/models",
        "CUDA_VISIBLE_DEVICES": "1",
    }
    monkeypatch.setenv("LIVE_DIFFUSION_TEST", "old")
    supervisor = Supervisor(["identity"], environment={"LIVE_DIFFUSION_TEST": "new"})
    assert supervisor._environment["LIVE_DIFFUSION_TEST"] == "new"
    asyncio.run(supervisor.close())


async def test_wrong_methods_and_plain_requests_to_ws(http: aiohttp.ClientSession) -> None:
    async with http.get("/offer") as response:
        assert (response.status, response.content_type) == (405, "application/problem+json")
    async with http.get("/ws") as response:
        assert (response.status, response.content_type) == (426, "application/problem+json")


async def test_failure_is_logged_without_the_secret_in_its_path(
    server: RunningServer, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.manager, "find", lambda session_id: 1 / 0)
    with capture_logs() as log:
        async with http.patch("/api/sessions/SECRET/settings", json={}) as response:
            assert (response.status, (await response.json())["code"]) == (500, "internal")
    [failure] = [entry for entry in log if entry["event"] == "request failed"]
    assert failure["path"] == "/api/sessions/{session_id}/settings"
