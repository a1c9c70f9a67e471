"""Who may come in, at a real server: names and origins, tokens, rates. What is refused leaves no session."""

from __future__ import annotations

import asyncio
import base64
import re
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from run import ROOT
from tests.conftest import StartServer
from tests.fakes.rtc_client import OfferRefused, RtcClient
from tests.fakes.server import RunningServer
from tests.fakes.whep_client import WhepClient
from webrtc_server.limits import CHANGES_BURST, GUESSES_BURST, STARTS_BURST
from webrtc_server.web import gate

TOKEN = "correct-horse-battery-staple"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
JSON = {"Content-Type": "application/json"}
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg==",
}
FOREIGN_HOST = {"Host": "evil.example"}
FOREIGN_ORIGIN = {"Origin": "http://evil.example"}
REBOUND = FOREIGN_HOST | FOREIGN_ORIGIN  # what a browser sends once evil.example points here
OFFER = ("POST", "/offer")
WS = ("GET", "/ws")
PATCH = ("PATCH", "/api/sessions/some/settings")
DELETE = ("DELETE", "/api/sessions/some")
VIEW_TOKEN = ("POST", "/api/sessions/some/view-token")
WATCH = ("POST", "/whep/some")
LEAVE = ("DELETE", "/whep/sessions/some")
ICE = ("GET", "/api/ice")
GUARDED = [OFFER, WS, PATCH, DELETE, VIEW_TOKEN, WATCH, ("PATCH", "/whep/sessions/some"), LEAVE, ICE]
GUARDED += [("POST", "/whip"), ("PATCH", "/whip/sessions/some"), ("DELETE", "/whip/sessions/some")]
LOOKING = [("OPTIONS", "/whip"), ("OPTIONS", "/whep/some")]
GUARDED += [("GET", "/api/status"), ("GET", "/api/models")]
OPEN = ["/", "/static/js/main.js", "/healthz", "/readyz", "/api/version", "/api/settings/schema"]
OPEN += ["/openapi.json", "/asyncapi.json", "/docs", "/redoc", "/docs/errors"]


async def ask(server: RunningServer, method: str, path: str, headers: dict[str, str]) -> tuple[int, str | None]:
    """Status and code; the body of what takes one is `{}`."""
    body = None if method == "GET" else "{}"
    upgrade = UPGRADE if path == "/ws" else {}
    async with (
        aiohttp.ClientSession(server.url) as http,
        http.request(method, path, data=body, headers=JSON | upgrade | headers) as response,
    ):
        problem: dict[str, Any] = await response.json() if response.content_type == "application/problem+json" else {}
        if response.status == 401:
            assert response.headers["WWW-Authenticate"] == "Bearer"
        if response.status == 429:
            assert int(response.headers["Retry-After"]) > 0
        return response.status, problem.get("code")


def test_what_is_open_is_what_is_said_to_be() -> None:
    text = (ROOT / "SECURITY.md").read_text()
    (paragraph,) = (part for part in text.split("\n\n") if part.startswith("Routes that need no token:"))
    assert sorted(re.findall(r"`([^`]+)`", paragraph)) == sorted(gate.OPEN)


async def test_pages_of_others_get_nothing(start_server: StartServer) -> None:
    server = await start_server("identity", allowed_hosts="studio.local", allowed_origins="https://app.example")
    denied = {"host": (403, "host_denied"), "origin": (403, "origin_denied")}
    for method, path in GUARDED:
        assert await ask(server, method, path, FOREIGN_HOST) == denied["host"], path
        assert await ask(server, method, path, REBOUND) == denied["host"], path
        acts = method != "GET" or path == "/ws"
        answer = await ask(server, method, path, FOREIGN_ORIGIN)
        assert answer == denied["origin"] if acts else answer[0] == 200, path  # what it may not read, without CORS
    for path in OPEN:
        assert await ask(server, "GET", path, REBOUND) == (200, None)
    for friend in ({"Host": "studio.local"}, {"Host": "app.example", "Origin": "https://app.example"}, {}):
        assert await ask(server, *OFFER, friend) == (400, "bad_message")
        assert await ask(server, *OFFER, friend | {"Content-Type": "text/plain"}) == (415, "unsupported_media_type")
    assert not server.manager.sessions


async def test_who_listens_to_all_without_a_token_takes_pages_only(start_server: StartServer) -> None:
    server = await start_server("identity", host="0.0.0.0", insecure_public=True)
    for method, path in (OFFER, WS, PATCH):
        assert await ask(server, method, path, {}) == (403, "origin_denied")
    own = {"Host": "192.0.2.1:8000", "Origin": "http://192.0.2.1:8000"}
    assert await ask(server, *OFFER, own) == (400, "bad_message")
    assert await ask(server, *OFFER, REBOUND) == (403, "host_denied")
    assert await ask(server, *ICE, {}) == (200, None)


async def test_a_token_is_asked_for_everywhere_but_where_the_page_begins(start_server: StartServer) -> None:
    server = await start_server("identity", host="0.0.0.0", auth_token=TOKEN)
    for method, path in GUARDED:
        for headers in ({}, {"Authorization": "Basic Zm9vOmJhcg=="}, {"Cookie": f"token={TOKEN}"}, FOREIGN_HOST):
            assert await ask(server, method, path, headers) == (401, "unauthorized"), path
        assert await ask(server, method, f"{path}?token={TOKEN}&access_token={TOKEN}", {}) == (401, "unauthorized")
    for method, path in LOOKING:
        assert await ask(server, method, path, {}) == (401, "unauthorized"), path
        assert await ask(server, method, path, BEARER) == (204, None), path
    for path in OPEN:
        assert (await ask(server, "GET", path, {}))[0] == 200
    assert await ask(server, "GET", "/nothing", {}) == (404, "not_found")
    assert await ask(server, *ICE, BEARER | FOREIGN_HOST) == (200, None)  # whoever has the token may come by any name
    assert await ask(server, *OFFER, BEARER) == (400, "bad_message")
    assert await ask(server, *OFFER, BEARER | FOREIGN_ORIGIN) == (403, "origin_denied")
    assert await ask(server, *PATCH, BEARER) == await ask(server, *VIEW_TOKEN, BEARER) == (404, "not_found")
    assert not server.manager.sessions


async def test_wrong_tokens_are_counted_by_address(start_server: StartServer) -> None:
    server = await start_server("identity", auth_token=TOKEN, trusted_proxies="127.0.0.1")
    guesser = {"X-Forwarded-For": "192.0.2.1", "Authorization": "Bearer wrong"}
    other = {"X-Forwarded-For": "192.0.2.2"}
    for _ in range(int(GUESSES_BURST)):
        assert await ask(server, *ICE, guesser) == (401, "unauthorized")
    assert await ask(server, *ICE, guesser) == (429, "rate_limited")
    assert await ask(server, *ICE, guesser | BEARER) == (429, "rate_limited")  # a right guess must not show
    assert await ask(server, *ICE, other | BEARER) == (200, None)
    for _ in range(int(GUESSES_BURST) + 1):
        assert await ask(server, *ICE, other) == (401, "unauthorized")  # none at all is no guess
    assert await ask(server, *ICE, BEARER) == (200, None)


async def test_a_rebinding_page_locks_nobody_out(start_server: StartServer) -> None:
    server = await start_server("identity", auth_token=TOKEN)
    for _ in range(int(GUESSES_BURST)):
        assert await ask(server, *ICE, FOREIGN_HOST | {"Authorization": "Bearer wrong"}) == (401, "unauthorized")
    assert await ask(server, *ICE, FOREIGN_HOST | BEARER) == (429, "rate_limited")
    assert await ask(server, *ICE, BEARER) == (200, None)


async def test_a_websocket_is_not_to_be_had_by_head(start_server: StartServer) -> None:
    """It was one, which counted as no start."""
    server = await start_server("identity")
    async with aiohttp.ClientSession(server.url) as http, http.head("/ws", headers=UPGRADE) as response:
        assert (response.status, response.headers["Allow"]) == (405, "GET")
    async with aiohttp.ClientSession(server.url) as http, http.get("/ws") as response:
        assert (response.status, response.headers["Upgrade"]) == (426, "websocket")
        assert (await response.json())["code"] == "upgrade_required"
    assert not server.manager.sessions


async def test_starts_and_changes_are_counted_by_address(start_server: StartServer) -> None:
    server = await start_server("identity", trusted_proxies="127.0.0.1")
    one, other = {"X-Forwarded-For": "192.0.2.1"}, {"X-Forwarded-For": "192.0.2.2"}
    kinds = [OFFER, WATCH, ("POST", "/offer")]
    for count in range(int(STARTS_BURST)):
        assert (await ask(server, *kinds[count % 3], one))[0] in (400, 404, 415)
    for method, path in (OFFER, WS, WATCH):
        assert await ask(server, method, path, one) == (429, "rate_limited")
    assert await ask(server, *OFFER, other) == (400, "bad_message")
    assert await ask(server, *PATCH, one) == (404, "not_found")
    answers = [await ask(server, *PATCH, other) for _ in range(int(CHANGES_BURST) * 3)]
    assert answers[: int(CHANGES_BURST)] == [(404, "not_found")] * int(CHANGES_BURST)
    assert (429, "rate_limited") in answers
    assert await ask(server, *ICE, one) == (200, None)  # looking is free
    for _ in range(int(STARTS_BURST) + 1):
        assert await ask(server, *OFFER, {}) == (400, "bad_message")  # the machine's own programs
    assert not server.manager.sessions


def subprotocols(token: str) -> list[Subprotocol]:
    name = base64.urlsafe_b64encode(token.encode()).rstrip(b"=").decode()
    return [Subprotocol("live-diffusion"), Subprotocol(f"bearer.{name}")]


async def test_a_websocket_brings_its_token_as_a_subprotocol(start_server: StartServer) -> None:
    server = await start_server("identity", auth_token=TOKEN)
    address = server.url.replace("http", "ws") + "/ws"
    async with connect(address, subprotocols=subprotocols(TOKEN)) as socket:
        assert (
            not socket.protocol.extensions
        )  # compression was offered, and would let a small message become a large one
        assert socket.subprotocol == "live-diffusion"
        assert "status" in str(await socket.recv())
    async with connect(address, additional_headers=BEARER) as socket:
        assert socket.subprotocol is None
    for wrong in ({"subprotocols": subprotocols("wrong")}, {"subprotocols": subprotocols("")[:1]}, {}):
        with pytest.raises(InvalidStatus) as refused:
            await connect(address, **wrong)  # type: ignore[arg-type]
        assert refused.value.response.status_code == 401
    async with asyncio.timeout(5):
        while server.manager.sessions:
            await asyncio.sleep(0.01)


async def test_a_link_to_watch_does_not_give_the_owners_token_away(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await start_server("identity", auth_token=TOKEN, view_token_s=60)
    with pytest.raises(OfferRefused, match="401"):
        await RtcClient(server.url).connect()
    async with (
        RtcClient(server.url, 320, 240, token=TOKEN) as client,
        aiohttp.ClientSession(server.url) as http,
    ):
        session, view = client.answer["session_id"], client.answer["view_id"]
        async with http.post(f"/api/sessions/{session}/view-token", headers=BEARER) as response:
            assert response.headers["Cache-Control"] == "no-store"
            made = await response.json()
        token = made["view_token"]
        assert made == {"view_token": token, "expires_in_s": 60, "url": f"/view/{view}#token={token}"}
        assert TOKEN not in token

        endpoint = f"{server.url}/whep/{view}"
        for right in (token, TOKEN):
            async with WhepClient(endpoint, token=right) as viewer:
                await viewer.frames(3)
                path = viewer.headers["Location"]
                async with http.delete(path) as response:
                    assert response.status == 401
                async with http.delete(path, headers={"Authorization": f"Bearer {right}"}) as response:
                    assert response.status == 200
        watcher = {"Authorization": f"Bearer {token}"}
        assert await ask(server, *ICE, watcher) == (200, None)  # with which TURN server
        for method, path in (OFFER, WS, VIEW_TOKEN, ("PATCH", f"/api/sessions/{session}/settings")):
            assert await ask(server, method, path, watcher) == (401, "unauthorized")  # it watches, and no more
        assert await ask(server, "POST", "/whep/another", watcher) == (401, "unauthorized")
        now = gate._wall_clock()
        monkeypatch.setattr(gate, "_wall_clock", lambda: now + 61)
        for _ in range(int(GUESSES_BURST) + 1):  # a viewer left alone goes on asking, which is no guessing
            assert await ask(server, "POST", f"/whep/{view}", watcher) == (401, "unauthorized")
        assert await ask(server, *ICE, watcher) == (401, "unauthorized")
        assert await ask(server, *LEAVE, watcher) == (404, "not_found")  # leaving stays possible
        assert await ask(server, "POST", f"/whep/{view}", BEARER) == (415, "unsupported_media_type")


async def test_without_a_token_there_are_links_all_the_same(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with RtcClient(server.url, 320, 240) as client, aiohttp.ClientSession(server.url) as http:
        async with http.post(f"/api/sessions/{client.answer['session_id']}/view-token") as response:
            token = (await response.json())["view_token"]
        async with WhepClient(f"{server.url}/whep/{client.answer['view_id']}", token=token) as viewer:
            await viewer.frames(1)


async def test_pages_of_allowed_origins_can_read_why_they_are_refused(start_server: StartServer) -> None:
    server = await start_server("identity", auth_token=TOKEN, allowed_origins="https://app.example")
    origin = {"Origin": "https://app.example"}
    async with aiohttp.ClientSession(server.url) as http:
        preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        async with http.options("/offer", headers=origin | preflight) as response:
            assert response.status == 204
            assert "Authorization" in response.headers["Access-Control-Allow-Headers"]
        async with http.post("/offer", headers=origin) as response:
            assert response.status == 401
            assert response.headers["Access-Control-Allow-Origin"] == "https://app.example"
            assert "Access-Control-Allow-Credentials" not in response.headers
