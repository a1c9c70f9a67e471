"""Who watches a client finds it again; what that link says of the client."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.conftest import StartServer
from tests.fakes.rtc_client import RtcClient
from tests.fakes.whep_client import WhepClient
from webrtc_server.sessions.view_id import HARD_TO_GUESS, key_of, view_id_for

CLIENT = "0123456789abcdef0123456789abcdef"
KEY = b"key"


def test_the_same_client_gets_the_same_and_another_does_not() -> None:
    assert view_id_for(CLIENT, KEY) == view_id_for(CLIENT, KEY) != view_id_for(CLIENT[::-1], KEY)
    assert len(view_id_for(CLIENT, KEY)) == 16
    assert view_id_for("\ud800" * HARD_TO_GUESS, KEY)


def test_with_a_token_it_outlives_the_server_and_nobody_else_can_work_it_out() -> None:
    assert view_id_for(CLIENT, key_of("a")) == view_id_for(CLIENT, key_of("a")) != view_id_for(CLIENT, key_of("b"))
    assert view_id_for(CLIENT, key_of("")) != view_id_for(CLIENT, key_of(""))


@pytest.mark.parametrize("client_id", [None, "x" * (HARD_TO_GUESS - 1)])
def test_what_could_be_guessed_tells_nothing(client_id: str | None) -> None:
    assert view_id_for(client_id, KEY) != view_id_for(client_id, KEY)


async def test_a_link_outlives_the_session_it_was_made_for(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with RtcClient(server.url, client_id=CLIENT) as first:
        link = first.answer["view_id"]
        await first.frames(1)
    async with asyncio.timeout(5):
        while server.manager.sessions:
            await asyncio.sleep(0.02)
    async with RtcClient(server.url, client_id=CLIENT) as second:
        assert second.answer["view_id"] == link
        assert second.answer["session_id"] != first.answer["session_id"]
        async with WhepClient(f"{server.url}/whep/{link}") as viewer:
            await viewer.frames(3)


async def test_the_viewer_page_is_there_for_any_id_and_for_nothing_else(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with aiohttp.ClientSession(server.url) as http:
        async with http.get("/view/not-here-yet?fit=cover") as response:
            assert response.status == 200
            assert "js/viewer.js" in await response.text()
            assert "default-src 'self'" in response.headers["Content-Security-Policy"]
        for path in ("/view/", "/view/a/b", "/view/..%2Findex.html", f"/view/{'x' * 65}"):
            async with http.get(path) as response:
                assert response.status == 404, path
