"""Watching a session: WHEP's rules over HTTP, and real viewers beside the session's own client."""

from __future__ import annotations

import asyncio
import itertools

import aiohttp
import pytest

from tests.conftest import StartServer
from tests.fakes.rtc_client import OfferRefused, RtcClient
from tests.fakes.server import RunningServer
from tests.fakes.whep_client import WhepClient
from webrtc_server.limits import VIEWERS_PER_SESSION
from webrtc_server.media.fanout import QUEUE

TOKEN = "correct-horse-battery-staple"
SDP = {"Content-Type": "application/sdp"}


def address(server: RunningServer, client: RtcClient) -> str:
    return f"{server.url}/whep/{client.answer['view_id']}"


def figures(server: RunningServer) -> dict[str, float | None]:
    (session,) = server.manager.sessions.values()
    return session.stats(0.0).transport


async def test_viewers_of_one_codec_share_one_encoder_and_those_of_another_get_their_own(
    start_server: StartServer,
) -> None:
    server = await start_server("identity")
    async with RtcClient(server.url, 320, 240) as client:
        await client.frames(5)
        async with (
            WhepClient(address(server, client)) as same,
            WhepClient(address(server, client)) as same_too,
            WhepClient(address(server, client), "video/VP8") as other,
        ):
            await asyncio.gather(same.frames(15), same_too.frames(15), other.frames(15), client.frames(15))
            assert {(width, height) for _, width, height in same.received + other.received} == {(320, 240)}
            seen = figures(server)
            assert seen["viewers"] == 3
            assert seen["frames_by_libvpx"]
            by_x264 = sum(
                count or 0 for name, count in seen.items() if name.startswith("frames_by_") and "vpx" not in name
            )
            assert by_x264 < len(client.received) * 1.5 + 10
            assert seen["encoder_rebuilds"] == 0
        await client.frames(5)


async def test_viewer_of_a_still_picture_sees_it_soon(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with RtcClient(server.url, 320, 240) as client:
        await client.frames(10)
        client.camera.paused = True
        await asyncio.sleep(0.7)
        async with WhepClient(address(server, client)) as viewer:
            connected = asyncio.Event()
            viewer.pc.on("connectionstatechange", connected.set)
            await asyncio.wait_for(connected.wait(), 5)
            await viewer.frames(1, timeout=0.4)  # 0.3 s, and what this machine needs to decode


async def test_viewers_end_with_their_session_and_their_places_with_them(start_server: StartServer) -> None:
    server = await start_server("identity")
    client = RtcClient(server.url, 320, 240)
    await client.connect()
    await client.frames(3)
    async with WhepClient(address(server, client)) as viewer, aiohttp.ClientSession(server.url) as http:
        await viewer.frames(3)
        await client.close()
        async with asyncio.timeout(5):
            while viewer.pc.connectionState != "closed":
                await asyncio.sleep(0.02)
        for _ in range(2):
            async with http.delete(viewer.headers["Location"]) as response:
                assert response.status == 200
        async with http.post(address(server, client), data="v=0", headers=SDP) as response:
            assert response.status == 404


async def test_rules_of_whep(start_server: StartServer) -> None:
    server = await start_server("identity", allowed_origins=("https://player.example",))
    async with RtcClient(server.url, 320, 240) as client, aiohttp.ClientSession() as http:
        await client.frames(3)
        path = address(server, client)
        async with http.options(path) as response:
            assert (response.status, response.headers["Accept-Post"]) == (204, "application/sdp")
        player = {"Origin": "https://player.example"}
        async with http.options(path, headers=player) as response:
            assert response.headers["Accept-Post"] == "application/sdp"
        async with http.options(path, headers=player | {"Access-Control-Request-Method": "POST"}) as response:
            assert "POST" in response.headers["Access-Control-Allow-Methods"]
            assert "Location" in response.headers["Access-Control-Expose-Headers"]
        refusals = {
            (f"{server.url}/whep/unknown", "application/sdp", "v=0"): (404, "not_found"),
            (f"{server.url}/whep/{client.answer['session_id']}", "application/sdp", "v=0"): (404, "not_found"),
            (path, "application/json", "{}"): (415, "unsupported_media_type"),
            (path, "application/sdp", "junk"): (400, "bad_sdp"),
            (path, "application/sdp", "v=0\r\n" + "a=x\r\n" * 20_000): (413, "too_large"),
        }
        for (url, kind, body), expected in refusals.items():
            async with http.post(url, data=body, headers={"Content-Type": kind}) as response:
                assert (response.status, (await response.json())["code"]) == expected, body[:20]
        viewer = WhepClient(path)
        offer = await viewer.offer()
        for changed, expected in (
            (offer.replace("a=recvonly", "a=sendonly"), (400, "no_video")),
            (offer.replace("VP8/90000", "AV1/90000").replace("H264/90000", "H265/90000"), (406, "no_common_codec")),
        ):
            async with http.post(path, data=changed, headers=SDP) as response:
                assert (response.status, (await response.json())["code"]) == expected
        async with http.post(path, data=offer, headers=SDP) as response:
            assert (response.status, response.content_type) == (201, "application/sdp")
            assert response.headers["Accept-Patch"] == "application/trickle-ice-sdpfrag"
            tag = response.headers["ETag"]
            answer, place = await response.text(), server.url + response.headers["Location"]
        assert "a=sendonly" in answer
        trickle = {"Content-Type": "application/trickle-ice-sdpfrag"}
        async with http.patch(place, data="a=end-of-candidates\r\n", headers=trickle) as response:
            assert response.status == 204
        async with http.patch(place, data="a=x\r\n", headers=trickle | {"If-Match": tag}) as response:
            assert response.status == 204
        for match, status, code in (('"other"', 412, "precondition_failed"), ("*", 422, "no_ice_restart")):
            async with http.patch(place, data="a=x\r\n", headers=trickle | {"If-Match": match}) as response:
                assert (response.status, (await response.json())["code"]) == (status, code)
        async with http.patch(place, data="{}", headers={"Content-Type": "application/json"}) as response:
            assert response.status == 415
        for _ in range(2):
            async with http.delete(place) as response:
                assert response.status == 200
        for method in (http.delete, http.patch):
            async with method(f"{server.url}/whep/sessions/unknown") as response:
                assert response.status == 404
        await viewer.close()


async def test_viewers_are_told_their_ice_servers_if_they_may_watch(start_server: StartServer) -> None:
    turn = {"turn_url": "turn:127.0.0.1:1", "turn_secret": "secret"}
    server = await start_server("identity", auth_token=TOKEN, **turn)
    owner = {"Authorization": f"Bearer {TOKEN}"}
    async with RtcClient(server.url, 320, 240, token=TOKEN) as client, aiohttp.ClientSession(server.url) as http:
        async with http.post(f"/api/sessions/{client.answer['session_id']}/view-token", headers=owner) as response:
            viewer = {"Authorization": f"Bearer {(await response.json())['view_token']}"}
        path = f"/whep/{client.answer['view_id']}"
        for headers, status in (({}, 401), ({"Authorization": "Bearer wrong"}, 401), (viewer, 204), (owner, 204)):
            async with http.options(path, headers=headers) as response:
                assert response.status == status
                links = response.headers.getall("Link", [])
                assert [link.startswith('<turn:127.0.0.1:1>; rel="ice-server"; username="') for link in links] == (
                    [True] if status == 204 else []
                )
        async with WhepClient(server.url + path, token=viewer["Authorization"].removeprefix("Bearer ")) as watching:
            assert 'rel="ice-server"' in watching.headers["Link"]
            assert watching.headers["Cache-Control"] == "no-store"


async def test_places_to_watch_are_limited(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with RtcClient(server.url, 320, 240) as client, aiohttp.ClientSession() as http:
        viewer = WhepClient(address(server, client))
        offer = await viewer.offer()
        for _ in range(VIEWERS_PER_SESSION):
            async with http.post(address(server, client), data=offer, headers=SDP) as response:
                assert response.status == 201
                last = response.headers["Location"]
        with pytest.raises(OfferRefused) as refused:
            await WhepClient(address(server, client)).connect()
        assert (refused.value.status, refused.value.problem["code"]) == (503, "capacity")
        assert refused.value.headers["Retry-After"]
        async with http.delete(server.url + last) as response:
            assert response.status == 200
        async with http.post(address(server, client), data=offer, headers=SDP) as response:
            assert response.status == 201
        await viewer.close()


async def test_watching_gives_no_control(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with RtcClient(server.url, 320, 240) as client, aiohttp.ClientSession(server.url) as http:
        view_id = client.answer["view_id"]
        async with http.delete(f"/api/sessions/{view_id}") as response:
            assert response.status == 404
        async with http.patch(f"/api/sessions/{view_id}/settings", json={"seed": 1}) as response:
            assert response.status == 404
        async with WhepClient(address(server, client)) as viewer:
            assert client.answer["session_id"] not in viewer.answer + str(viewer.headers)


async def test_queue_of_a_viewer_that_does_not_read_is_bounded(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with RtcClient(server.url, 320, 240) as client:
        await client.frames(3)
        (session,) = server.manager.sessions.values()
        stuck = session._transport.video.track()  # type: ignore[union-attr]
        await stuck.recv()
        await client.frames(30)
        assert stuck.queued <= QUEUE
        assert figures(server)["viewer_frames_dropped"]
        numbers = [frame.number or 0 for frame in client.received[5:]]
        assert max(b - a for a, b in itertools.pairwise(numbers)) <= 6
        stuck.stop()
