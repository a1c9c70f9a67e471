"""Publishing by WHIP: RFC 9725's rules, offers as OBS and GStreamer make them, and real pictures all the way."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from tests.conftest import StartServer
from tests.fakes.rtc_client import OfferRefused
from tests.fakes.whep_client import WhepClient
from tests.fakes.whip_client import SDP, WhipClient
from webrtc_server.protocol import whip
from webrtc_server.protocol.sdp_guard import codec, parse
from webrtc_server.rtc.reach import IceServer

OFFERS = Path(__file__).parent.parent / "fakes" / "offers"
TRICKLE = {"Content-Type": "application/trickle-ice-sdpfrag"}
FRAGMENT = "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n"


async def test_what_is_published_is_painted_watched_and_steered(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with WhipClient(server.url, {"prompt": "7", "steps": "2"}) as client, aiohttp.ClientSession() as http:
        assert "a=recvonly" in client.answer
        async with WhepClient(client.watch) as viewer:
            await viewer.frames(10)
            assert viewer.received[-1][1:] == (320, 240)
        settings = client.location.replace("/whip/", "/api/") + "/settings"
        async with http.patch(settings, json={"steps": 3}) as response:
            assert response.status == 200
            applied = (await response.json())["settings"]
            assert (applied["prompt"], applied["steps"]) == ("7", 3)


async def test_settings_are_changed_in_the_version_that_is_meant(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with WhipClient(server.url) as client, aiohttp.ClientSession() as http:
        settings = client.location.replace("/whip/", "/api/") + "/settings"
        async with http.patch(settings, json={}) as response:
            assert (response.status, response.headers["ETag"]) == (200, '"0"')
        for tag, status in (
            ('"0"', 200),
            ('"0"', 412),
            ('"5", "1"', 200),
            ("*", 200),
            ("rubbish", 412),
            ('W/"3"', 412),
        ):
            async with http.patch(settings, json={"seed": status + len(tag)}, headers={"If-Match": tag}) as response:
                assert response.status == status, tag
                if status == 412:
                    assert (await response.json())["code"] == "precondition_failed"

        async def change(seed: int) -> int:
            async with http.patch(settings, json={"seed": seed}, headers={"If-Match": '"3"'}) as response:
                return response.status

        assert sorted(await asyncio.gather(change(1), change(2))) == [200, 412]
        async with http.patch(settings, json={}) as response:
            assert response.headers["ETag"] == '"4"'


async def test_an_address_with_a_client_id_is_taken_over(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with WhipClient(server.url, {"client_id": "studio"}), WhipClient(server.url, {"client_id": "studio"}):
        assert len(server.manager.sessions) == 1


async def test_candidates_restarts_and_ends(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with WhipClient(server.url) as client, aiohttp.ClientSession() as http:
        for headers, status in (
            (TRICKLE, 204),  # some clients leave If-Match out
            (TRICKLE | {"If-Match": client.etag}, 204),
            (TRICKLE | {"If-Match": f'"other", {client.etag}'}, 204),
            (TRICKLE | {"If-Match": '"other"'}, 412),
            (TRICKLE | {"If-Match": f"W/{client.etag}"}, 412),  # weak tags never match (RFC 9110 section 13.1.1)
            (TRICKLE | {"If-Match": "*"}, 422),
            (TRICKLE | {"If-Match": '"*"'}, 422),
            (SDP, 415),
        ):
            async with http.patch(client.location, data=FRAGMENT, headers=headers) as response:
                assert response.status == status, headers
        await client.pc.close()  # as OBS and others do it: first the connection, then the session
        for _ in range(2):
            async with http.delete(client.location) as response:
                assert response.status == 200
        async with http.delete(f"{server.url}/whip/sessions/nobody") as response:
            assert (response.status, (await response.json())["code"]) == (404, "not_found")
        async with http.get(client.location) as response:
            assert response.status == 405


@pytest.mark.parametrize("name", ["obs", "gstreamer"])
async def test_offers_of_other_programs_are_answered(start_server: StartServer, name: str) -> None:
    server = await start_server("identity")
    offer = (OFFERS / f"{name}.sdp").read_text().replace("\n", "\r\n")
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{server.url}/whip", data=offer, headers=SDP) as response,
    ):
        assert response.status == 201
        answer = await response.text()
    (video,) = [section for section in parse(answer)[1] if section.kind == "video"]
    assert (video.direction, codec(answer, video.mid)) == ("recvonly", "H264")
    assert all(section.direction in ("recvonly", "inactive") for section in parse(answer)[1])


@pytest.mark.parametrize(
    ("query", "code"),
    [({"steps": "99"}, "invalid_settings"), ({"steps": "NaN"}, "invalid_settings"), ({"client_id": ""}, "bad_message")],
)
async def test_a_bad_query_is_told(start_server: StartServer, query: dict[str, str], code: str) -> None:
    server = await start_server("identity")
    client = WhipClient(server.url, query)
    with pytest.raises(OfferRefused) as caught:
        await client.__aenter__()
    assert caught.value.problem["code"] == code
    assert not server.manager.sessions


async def test_servers_for_ice_stand_in_links(start_server: StartServer) -> None:
    server = await start_server("identity", turn_url="turn:turn.example:3478", turn_secret="secret")
    async with aiohttp.ClientSession() as http:
        async with http.options(f"{server.url}/whip") as response:
            assert response.headers["Accept-Post"] == "application/sdp"
            assert response.headers["Cache-Control"] == "no-store"
            (link,) = response.headers.getall("Link")
        offer = (OFFERS / "obs.sdp").read_text().replace("\n", "\r\n")
        async with http.post(f"{server.url}/whip", data=offer, headers=SDP) as response:
            assert (response.status, response.headers["Cache-Control"]) == (201, "no-store")
            assert response.headers["Accept-Patch"] == "application/trickle-ice-sdpfrag"
            assert "turn:turn.example:3478" in response.headers["Link"]
    assert link.startswith('<turn:turn.example:3478>; rel="ice-server"; username="')
    assert link.endswith('; credential-type="password"')


async def test_a_turn_password_is_for_those_with_the_token(start_server: StartServer) -> None:
    turn = {"turn_url": "turn:turn.example:3478", "turn_secret": "secret"}
    server = await start_server("identity", auth_token="a" * 16, allowed_origins=("https://app.example",), **turn)
    bearer = {"Authorization": f"Bearer {'a' * 16}"}
    page, preflight = {"Origin": "https://app.example"}, {"Access-Control-Request-Method": "OPTIONS"}
    async with aiohttp.ClientSession(server.url) as http:
        for headers, status, links in (
            ({}, 401, 0),
            ({"Authorization": "Bearer wrong"}, 401, 0),
            (page, 401, 0),
            (preflight, 401, 0),
            (page | preflight, 204, 0),
            (page | preflight | bearer, 204, 0),
            (bearer, 204, 1),
            (page | bearer, 204, 1),
        ):
            async with http.options("/whip", headers=headers) as response:
                assert (response.status, len(response.headers.getall("Link", []))) == (status, links), headers
                if response.status == 204 and "Origin" in headers:
                    assert response.headers["Access-Control-Allow-Origin"] == "https://app.example"
                if links == 0 and response.status == 204:
                    assert "OPTIONS" in response.headers["Access-Control-Allow-Methods"]


def test_links_and_settings() -> None:
    servers = [IceServer(("stun:a", "stun:b")), IceServer(("turn:c",), 'u"', "p\\")]
    assert whip.links(servers) == [
        '<stun:a>; rel="ice-server"',
        '<stun:b>; rel="ice-server"',
        '<turn:c>; rel="ice-server"; username="u\\""; credential="p\\\\"; credential-type="password"',
    ]
    query = {"prompt": "[1]", "steps": "2", "prompts": '[{"text": "a"}]', "client_id": "x", "seed": "1, 2", "no": "1"}
    assert whip.settings(query) == {
        "prompt": "[1]",
        "steps": 2,
        "prompts": [{"text": "a"}],
        "seed": "1, 2",
        "no": "1",
    }
