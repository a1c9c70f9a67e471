"""The whole way of a frame over WebRTC, and the control protocol beside it, through a real aiortc client."""

from __future__ import annotations

import asyncio
from statistics import median

import aiohttp
import pytest

from tests.conftest import StartServer
from tests.fakes.rtc_client import Camera, OfferRefused, RtcClient


async def test_identity_returns_the_very_pictures_with_their_time_stamps(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with RtcClient(server.url) as client:
        await client.frames(30)
        numbers = [frame.number for frame in client.received[5:]]
        assert None not in numbers
        steps = [
            ((b.number or 0) - (a.number or 0), b.pts - a.pts)
            for a, b in zip(client.received[5:], client.received[6:], strict=False)
        ]
        assert all(ticks == pytest.approx(frames * 3000, abs=2) for frames, ticks in steps)
        assert {(frame.width, frame.height) for frame in client.received[5:]} == {(640, 480)}
        assert median(client.latencies()) < 250


async def test_first_message_is_status_and_it_says_what_runs(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with RtcClient(server.url) as client:
        await client.until(lambda: bool(client.messages))
        first = client.messages[0]
        assert first["type"] == "status"
        status = first["data"]
        assert status["session_id"] == client.answer["session_id"]
        assert status["view_id"] == client.answer["view_id"]
        assert (status["pipeline"], status["protocol"], status["settings_version"]) == ("identity", 1, 0)
        assert {"identity", "effects"} <= set(status["pipelines"])
        await client.frames(3)
        client.send("get_status", message_id="s")
        assert (await client.message("status", id="s"))["state"] == "running"


async def test_settings_are_confirmed_versioned_and_change_the_picture(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with RtcClient(server.url) as client:
        await client.frames(3)
        client.send("settings", {"pipeline": "fault", "prompt": "paint"}, "one")
        status = await client.message("status", pipeline="fault")
        assert status["message"] == ""  # nobody needs to be told why they got what they chose
        applied = await client.message("settings_applied", id="one")
        assert applied["version"] == 1
        assert set(applied["changed"]) == {"pipeline", "prompt"}
        assert applied["notes"] == ["prompt is paint"]
        await client.until(lambda: client.received[-1].number is None)  # a negative has no readable number
        client.send("settings", {"prompt": "paint"}, "again")
        assert (await client.message("settings_applied", id="again"))["version"] == 1
        client.send("settings", {"steps": 2}, "ignored")
        assert "no effect" in (await client.message("settings_applied", id="ignored"))["notes"][0]


async def test_bad_messages_are_answered_and_nothing_is_lost(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with RtcClient(server.url) as client:
        await client.frames(3)
        bad = {
            "{": "bad_message",
            "[]": "bad_message",
            '{"type": "settings", "type": "ping"}': "bad_message",
            '{"type": "ping", "data": {"t": NaN}}': "bad_message",
            '{"type": "dance"}': "unknown_type",
            '{"type": "ping", "data": {"t": 1}, "extra": 1}': "bad_message",
            '{"type": "load_model", "data": {"model": "../../etc/passwd"}}': "unknown_model",
            '{"type": "settings", "data": {"prompt": "' + "x" * 70_000 + '"}}': "too_large",
        }
        for text, code in bad.items():
            client.send_text(text)
            assert (await client.message("error"))["code"] == code, text[:50]
        client.send_text(b"binary")
        assert (await client.message("error"))["code"] == "bad_message"
        client.send("settings", {"steps": 9, "width": 300, "colour": "red", "prompt": "fine"}, "bad")
        error = await client.message("error", id="bad")
        assert error["code"] == "invalid_settings"
        assert {field["field"] for field in error["fields"]} == {"steps", "width", "colour"}
        client.send("get_status")
        status = await client.message("status")
        assert status["settings_version"] == 0
        assert status["settings"]["prompt"] != "fine"
        client.send("ping", {"t": 42}, "p")
        assert (await client.message("pong", id="p"))["t"] == 42
        await client.frames(5)


async def test_settings_the_pipeline_rejects_leave_the_old_ones_in_force(start_server: StartServer) -> None:
    server = await start_server("fault")
    async with RtcClient(server.url) as client:
        await client.frames(3)
        client.send("settings", {"prompt": "reject", "seed": 5}, "no")
        assert (await client.message("error", id="no"))["code"] == "apply_failed"
        client.send("settings", {"seed": 6}, "yes")
        applied = await client.message("settings_applied", id="yes")
        assert (applied["version"], applied["changed"]) == (1, ["seed"])
        assert applied["settings"]["prompt"] != "reject"


async def test_statistics_come_while_asked_for(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with RtcClient(server.url) as client:
        await client.frames(15)
        client.send("subscribe_stats", {"interval_s": 0.5})
        assert (await client.message("stats_subscribed"))["interval_s"] == 0.5
        await client.message("stats")
        stats = await client.message("stats")
        assert stats["frames"]["painted"] >= 15
        assert stats["fps_out"] > 5
        assert stats["stages_ms"]["pipeline"]["p50"] >= 0
        client.send("subscribe_stats", {"interval_s": None})
        await client.message("stats_subscribed")
        client.messages.clear()
        await asyncio.sleep(1.2)
        assert not [message for message in client.messages if message["type"] == "stats"]


async def test_settings_with_the_offer_are_in_force_from_the_first_frame(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with RtcClient(server.url, settings={"pipeline": "fault", "seed": 7}) as client:
        await client.until(lambda: bool(client.messages))
        assert client.messages[0]["data"]["settings"]["seed"] == 7
    with pytest.raises(OfferRefused) as refused:
        await RtcClient(server.url, settings={"seed": -1}).connect()
    assert refused.value.problem["code"] == "invalid_settings"
    assert [field["field"] for field in refused.value.problem["fields"]] == ["seed"]
    assert not server.manager.sessions


async def test_two_sessions_never_mix(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with RtcClient(server.url) as plain, RtcClient(server.url, settings={"pipeline": "fault"}) as negative:
        await asyncio.gather(plain.frames(30), negative.frames(30))
        assert all(frame.number is not None for frame in plain.received[5:])
        assert all(frame.number is None for frame in negative.received[5:])


async def test_places_are_limited_and_a_reload_takes_its_old_place(start_server: StartServer) -> None:
    server = await start_server("identity", max_sessions=1, queue_length=0)
    first = RtcClient(server.url, client_id="tab")
    await first.connect()
    await first.message("status")
    with pytest.raises(OfferRefused) as refused:
        await RtcClient(server.url).connect()
    assert (refused.value.status, refused.value.problem["code"]) == (503, "capacity")
    assert refused.value.headers["Retry-After"] == "5"
    async with RtcClient(server.url, client_id="tab") as second:
        await second.frames(5)
        assert list(server.manager.sessions) == [second.answer["session_id"]]
    assert (await first.message("status", state="closed"))["reason"] == "session_ended"
    await first.close()


async def test_delete_ends_a_session_and_may_be_repeated(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with RtcClient(server.url) as client, aiohttp.ClientSession() as http:
        await client.frames(3)
        address = f"{server.url}/api/sessions/{client.answer['session_id']}"
        for _ in range(2):
            async with http.delete(address) as response:
                assert response.status == 200
        async with http.delete(f"{server.url}/api/sessions/unknown") as response:
            assert response.status == 404
        assert not server.manager.sessions


async def test_patch_changes_settings_by_http(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with RtcClient(server.url) as client, aiohttp.ClientSession() as http:
        address = f"{server.url}/api/sessions/{client.answer['session_id']}/settings"
        async with http.patch(address, json={"seed": 11}) as response:
            assert (await response.json())["changed"] == ["seed"]
        async with http.patch(address, json={"seed": "11"}) as response:
            assert (response.status, (await response.json())["code"]) == (400, "invalid_settings")


async def test_audio_is_accepted_and_no_channel_is_needed(start_server: StartServer) -> None:
    server = await start_server("identity")
    client = RtcClient(server.url)
    await client.connect(data_channel=False, audio=True)
    await client.frames(5)
    await client.close()


@pytest.mark.parametrize("codec", ["video/VP8", "video/H264"])
async def test_codecs(start_server: StartServer, codec: str) -> None:
    server = await start_server("identity")
    async with RtcClient(server.url, codec=codec) as client:
        await client.frames(10)
        assert client.received[-1].number is not None


async def test_only_the_newest_control_channel_is_served(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with RtcClient(server.url) as client:
        await client.message("status")
        old = client.channel
        assert old
        newer = client.pc.createDataChannel("control", ordered=False, maxRetransmits=0)
        other = client.pc.createDataChannel("chat")
        newer.on("message", client._on_message)
        await client.message("status")
        async with asyncio.timeout(5):
            while old.readyState != "closed" or other.readyState != "closed":
                await asyncio.sleep(0.02)
        client.channel = newer
        client.send("ping", {"t": 1})
        await client.message("pong")
        newer.close()
        await client.frames(5)


async def test_silent_camera_is_noticed_and_the_picture_repeated(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with RtcClient(server.url) as client:
        await client.frames(5)
        client.camera.paused = True
        await client.message("status", state="no_input")
        pts = [frame.pts for frame in await client.frames(3)]
        assert pts == sorted(set(pts))
        client.camera.paused = False
        await client.message("status", state="running")
        before = len(client.received)
        await client.until(lambda: len({frame.number for frame in client.received[before:]}) > 3)


async def test_another_camera_on_the_same_call(start_server: StartServer) -> None:
    """Of other sizes and rates, with time stamps that jump ahead and back; black is a picture like any other."""
    server = await start_server("identity")
    async with RtcClient(server.url, 320, 240) as client:
        await client.frames(5)
        [session] = server.manager.sessions.values()
        for first, size, fps in ((5000, (640, 480), 60), (100, (320, 240), 1), (900, (160, 120), 15)):
            client.swap(Camera(*size, fps, first))
            await client.until(lambda first=first: first <= (client.received[-1].number or 0) <= first + 40)  # type: ignore[misc]
        client.camera.blacken(160, 120)
        painted = session.statistics.frames["painted"]
        await client.frames(20)
        assert session.statistics.frames["painted"] >= painted + 10
        pts = [frame.pts for frame in client.received]
        assert pts == sorted(set(pts))
        assert not [message for message in client.messages if message["type"] == "error"]


async def test_a_flood_of_one_client_leaves_the_other_its_pictures(start_server: StartServer) -> None:
    """`python -m bench.line` says how many."""
    server = await start_server("identity")
    async with RtcClient(server.url, 320, 240) as flooder, RtcClient(server.url, 320, 240) as other:
        await asyncio.gather(flooder.frames(5), other.frames(5))
        for number in range(1000):
            flooder.send("settings", {"seed": number}, str(number))
        assert len({frame.number for frame in await other.frames(30, timeout=5)}) >= 20
        other.send("ping", {"t": 1})
        await other.message("pong", timeout=2)
        applied = [message["data"] for message in flooder.messages if message["type"] == "settings_applied"]
        assert 1 <= len(applied) < 200  # far from a thousand: what was too fast made way for what came later
        await flooder.message("settings_applied", id="999")


async def test_client_that_vanishes_frees_its_place(start_server: StartServer) -> None:
    server = await start_server("identity")
    client = RtcClient(server.url)
    await client.connect()
    await client.frames(3)
    await client.close()
    async with asyncio.timeout(5):
        while server.manager.sessions:
            await asyncio.sleep(0.02)


async def test_of_several_offers_of_one_client_at_once_one_session_is_left(start_server: StartServer) -> None:
    server = await start_server("identity")
    clients = [RtcClient(server.url, client_id="me") for _ in range(4)]
    await clients[0].connect()
    await asyncio.gather(*(client.connect() for client in clients[1:]), return_exceptions=True)
    assert len(server.manager.sessions) == 1
    for client in clients:
        await client.close()


async def test_bad_offer_does_not_end_the_session_that_a_good_one_would(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with RtcClient(server.url, client_id="me"), aiohttp.ClientSession(server.url) as http:
        body = {"sdp": "junk", "type": "offer", "client_id": "me"}
        async with http.post("/offer", json=body) as response:
            assert response.status == 400
        assert len(server.manager.sessions) == 1
