"""From the line to a place, silence, takeover and every end: through real peers and sockets, with timers made short."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection
from PIL import Image
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.conftest import StartServer
from tests.fakes.footprint import leaked
from tests.fakes.rtc_client import OfferRefused, RtcClient
from tests.fakes.server import at_rest
from tests.webrtc_server.test_websocket import Client, as_file, client_of, processed, scene
from webrtc_server import limits
from webrtc_server.policy import deadlines
from webrtc_server.policy.admission import Place
from webrtc_server.protocol.error_codes import ClientError, Code
from webrtc_server.rtc import peer
from webrtc_server.sessions.applier import LATER
from webrtc_server.sessions.session import Session
from webrtc_server.transports import ws_pictures
from webrtc_server.transports.webrtc import WebRtcTransport
from webrtc_server.transports.ws_pictures import WebSocketTransport


async def until(happened: Callable[[], object], timeout: float = 20) -> None:
    async with asyncio.timeout(timeout):
        while not happened():
            await asyncio.sleep(0.02)


async def close_code(client: Client) -> int:
    """The code with which the server closes the socket; what comes before it is passed over."""
    with contextlib.suppress(ConnectionClosed):
        async with asyncio.timeout(10):
            while True:
                await client.socket.recv()
    return client.socket.close_code or 0


def is_painted(client: RtcClient) -> bool:
    """A negative, which has no number that can be read."""
    return client.received[-1].number is None


# In line


async def test_line_moves_in_order_and_tells_each_change_once(start_server: StartServer) -> None:
    server = await start_server("fault", max_sessions=1, queue_length=2)
    first = RtcClient(server.url, 320, 240)
    await first.connect()
    await first.message("status", state="running")
    await first.until(lambda: len(first.received) > 3 and is_painted(first))
    second = RtcClient(server.url, 512, 512)
    await second.connect()
    status = await second.message("status", state="queued")
    assert (status["place"], status["wait_s"], status["reason"]) == (1, None, None)
    assert all(frame.number is not None for frame in (await second.frames(8))[4:])  # their own camera
    async with client_of(server.url) as third:
        status = await third.message("status")
        assert (status["state"], status["place"]) == ("queued", 2)
        assert not await processed(third)
        for refused in (RtcClient(server.url).connect(), connect(server.url.replace("http", "ws") + "/ws")):
            with pytest.raises((OfferRefused, InvalidStatus)) as error:
                await refused
            if isinstance(error.value, OfferRefused):
                assert (error.value.status, error.value.problem["code"]) == (503, "capacity")
                assert int(error.value.headers["Retry-After"]) > 0
        await first.close()
        await second.message("status", state="running")
        await second.until(lambda: is_painted(second))
        status = await third.message("status")
        assert (status["state"], status["place"]) == ("queued", 1)
        assert status["wait_s"] is not None
        await second.close()
        status = await third.message("status")
        assert status["state"] in ("running", "no_input")
        assert (status["place"], status["wait_s"]) == (None, None)
        assert await processed(third)
    await until(lambda: not server.manager.sessions)


async def test_settings_sent_in_line_are_in_force_on_the_place(start_server: StartServer) -> None:
    server = await start_server("identity", max_sessions=1)
    async with client_of(server.url) as second:
        async with client_of(server.url) as waiting:
            await waiting.message("status")
            await waiting.send("settings", {"pipeline": "fault"}, "early")
            assert (await waiting.message("settings_applied"))["version"] == 1
            await second.socket.close()
            while (await waiting.message("status"))["state"] != "running":
                pass
            description: dict[str, object] = {"processed": False}
            while not description["processed"]:  # a pipeline that no one else has is loaded first
                await waiting.socket.send(as_file(scene()))
                description, image = await waiting.picture()
            assert description["settings_version"] == 1
            assert image.getpixel((0, 0)) == tuple(255 - value for value in scene().getpixel((0, 0)))  # type: ignore[union-attr]


async def test_a_client_in_line_that_waits_for_each_answer_gets_each(start_server: StartServer) -> None:
    server = await start_server("identity", max_sessions=1)
    async with client_of(server.url), client_of(server.url) as waiting:
        begun = time.monotonic()
        for _ in range(6):
            assert not await processed(waiting)
        assert time.monotonic() - begun >= 5 / limits.QUEUED_FPS - 0.05  # and not faster than those in line may


@pytest.mark.logs_errors("could not be looked after")
async def test_trouble_with_one_session_does_not_stop_the_line(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await start_server("identity", max_sessions=1)
    async with client_of(server.url) as first, client_of(server.url) as second:
        stand = Session.stand

        def fails_at_first(session: Session[Any], place: Place) -> None:
            monkeypatch.setattr(Session, "stand", stand)
            raise ZeroDivisionError

        monkeypatch.setattr(Session, "stand", fails_at_first)
        await until(lambda: Session.stand is stand)  # the ticker came by
        await first.socket.close()
        assert await processed(second)
        assert server.manager._ticker
        assert not server.manager._ticker.done()


async def test_nobody_gets_a_place_while_the_server_ends(start_server: StartServer) -> None:
    server = await start_server("identity", max_sessions=1)
    async with client_of(server.url), client_of(server.url) as waiting:
        assert (await waiting.message("status"))["state"] == "queued"
        await server.manager.close()
        assert (await waiting.message("status"))["state"] == "closed"


# Takeover


async def test_reload_keeps_its_place_and_does_not_wait_for_the_old_end(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await start_server("identity", max_sessions=1)
    async with contextlib.AsyncExitStack() as all_of_them:
        come = all_of_them.enter_async_context
        running = await come(RtcClient(server.url, 320, 240, client_id="first"))
        await running.message("status", state="running")
        old = await come(RtcClient(server.url, 320, 240, client_id="tab"))
        assert (await old.message("status", state="queued"))["place"] == 1
        last = await come(client_of(server.url, "?client_id=socket"))
        assert (await last.message("status"))["place"] == 2
        [slow] = [session for session in server.manager.sessions.values() if session.client_id == "tab"]
        transport, released = slow._transport, asyncio.Event()
        assert transport
        close = transport.close

        async def close_slowly(reason: Code | None) -> None:
            await released.wait()
            await close(reason)

        monkeypatch.setattr(transport, "close", close_slowly)
        async with RtcClient(server.url, 320, 240, client_id="tab") as new:
            assert (await new.message("status", state="queued"))["place"] == 1
            async with client_of(server.url, "?client_id=socket") as again:
                assert (await again.message("status"))["place"] == 2
                assert await close_code(last) == 1000
                async with client_of(server.url, "?client_id=first") as instead:  # a socket may follow a peer
                    assert (await instead.message("status"))["state"] == "running"
                    assert await processed(instead)
                await new.message("status", state="running")
        assert not released.is_set()
        released.set()
    await until(lambda: not server.manager._closing)


async def test_a_full_server_says_how_many_places_it_has(start_server: StartServer) -> None:
    server = await start_server("identity", max_sessions=2, queue_length=0)
    for _ in range(2):
        server.manager.create(None)
    with pytest.raises(ClientError, match=r"All places \(2\) are taken"):
        server.manager.create(None)


async def test_who_takes_itself_over_without_end_has_to_wait(start_server: StartServer) -> None:
    server = await start_server("identity", max_sessions=1, queue_length=0)
    for _ in range(limits.CLOSING_SESSIONS + 1):
        server.manager.create(None, "me")  # none of those before it has had the time to close
    with pytest.raises(ClientError) as refused:
        server.manager.create(None, "me")
    assert (refused.value.code, refused.value.retry_after) == (Code.CAPACITY, 5)
    await until(lambda: not server.manager._closing)
    server.manager.create(None, "me")
    assert len(server.manager.sessions) == 1


@pytest.mark.parametrize(
    ("length", "status"), [(limits.CLIENT_ID_LENGTH, 101), (limits.CLIENT_ID_LENGTH + 1, 400), (0, 400)]
)
async def test_length_of_a_client_id(start_server: StartServer, length: int, status: int) -> None:
    server = await start_server("identity")
    async with aiohttp.ClientSession(server.url) as http:
        query = {"client_id": "x" * length}
        headers = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        }
        async with http.get("/ws", params=query, headers=headers) as response:
            assert response.status == status
    if status == 400:
        with pytest.raises(OfferRefused) as refused:
            await RtcClient(server.url, client_id="x" * length).connect()
        assert (refused.value.status, refused.value.problem["code"]) == (400, "bad_message")


# Silence


async def test_silent_session_frees_the_worker_and_is_painted_again_at_its_next_picture(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "REST_AFTER", 0.6)
    server = await start_server("fault")
    async with client_of(server.url) as client:
        assert await processed(client)
        [session] = server.manager.sessions.values()
        await until(lambda: not session._worker.is_connected)
        await until(lambda: session.status().state == "no_input")
        assert await processed(client)  # the very picture that wakes it
        await until(lambda: not session._worker.is_connected)
        await client.send("settings", {"seed": 3}, "asleep")
        while (await client.message("settings_applied"))["version"] != 1:
            pass
        assert await processed(client)


async def test_who_is_released_at_work_is_not_blamed(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "REST_AFTER", 0.6)
    server = await start_server("fault", prompt="slow 1.5")
    async with client_of(server.url) as client:
        [session] = server.manager.sessions.values()
        for _ in range(3):
            await client.socket.send(as_file(scene()))
            await until(lambda: session._worker.is_connected)
            await until(lambda: not session._worker.is_connected)
        await client.send("settings", {"prompt": "ok 1"})
        assert (await client.message("settings_applied"))["version"] == 1
        async with asyncio.timeout(15):  # the last slow frame may hold the worker a little longer
            while not await processed(client):
                pass


async def test_a_silent_session_is_not_released_while_its_settings_are_on_their_way(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "REST_AFTER", 0.6)
    server = await start_server("fault", prompt="slow 1.5")
    async with client_of(server.url) as client:
        await client.socket.send(as_file(scene()))
        [session] = server.manager.sessions.values()
        await until(lambda: session._in_flight)
        await client.send("settings", {"seed": 3})  # its turn is after the picture's
        applied = await client.message("settings_applied")
        assert LATER not in applied["notes"]  # it is the worker that says so
        await until(lambda: not session._worker.is_connected)


async def test_who_waits_in_line_may_be_silent_and_has_its_time_on_the_place(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "IDLE_END", 1.5)
    server = await start_server("identity", max_sessions=1)
    async with client_of(server.url) as busy, client_of(server.url) as waiting, client_of(server.url) as last:
        until_past = time.monotonic() + 2.5
        while time.monotonic() < until_past:
            await processed(busy)
            await asyncio.sleep(0.1)
        assert len(server.manager.sessions) == 3
        await busy.socket.close()
        await until(lambda: len(server.manager.admission.waiting) == 1)
        seated = time.monotonic()
        assert await close_code(waiting) == 1000  # it has shown nothing on its place, and another waits
        assert time.monotonic() - seated >= 1.4
        assert await processed(last)


async def test_camera_that_pauses_is_released_and_comes_back(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "REST_AFTER", 1.0)
    server = await start_server("fault")
    async with RtcClient(server.url, 320, 240) as client:
        await client.until(lambda: len(client.received) > 5 and is_painted(client))
        [session] = server.manager.sessions.values()
        client.camera.paused = True
        await until(lambda: not session._worker.is_connected)
        before = session.statistics.frames["painted"]
        client.camera.paused = False
        await until(lambda: session.statistics.frames["painted"] > before + 5)
        await client.frames(5)
        assert is_painted(client)


async def test_client_that_neither_shows_nor_says_anything_is_ended(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "SILENCE_END", 2.0)
    server = await start_server("identity")
    async with RtcClient(server.url, 320, 240) as silent, RtcClient(server.url, 320, 240) as talks:
        await asyncio.gather(silent.frames(3), talks.frames(3))
        silent.camera.paused = talks.camera.paused = True

        async def talk() -> None:
            while True:
                talks.send("ping", {"t": 1})
                await asyncio.sleep(0.2)

        talking = asyncio.create_task(talk())
        assert (await silent.message("status", state="closed", timeout=20))["reason"] == "no_input"
        await asyncio.sleep(1)
        assert list(server.manager.sessions) == [talks.answer["session_id"]]
        talking.cancel()
        await until(lambda: not server.manager.sessions)


async def test_idle_session_gives_its_place_up_when_others_wait(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "IDLE_END", 1.0)
    server = await start_server("identity", max_sessions=1)
    async with client_of(server.url) as idle:
        await idle.message("status")
        await asyncio.sleep(2)
        assert len(server.manager.sessions) == 1  # nobody wants its place
        async with client_of(server.url) as busy:
            for _ in range(5):
                await processed(busy)
            assert await close_code(idle) == 1000
            await until(lambda: len(server.manager.admission.running) == 1)
            assert await processed(busy)


async def test_session_whose_camera_ended_is_ended(start_server: StartServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines, "IDLE_END", 1.5)
    server = await start_server("identity")
    async with RtcClient(server.url, 320, 240) as client:
        await client.frames(3)
        await client.pc.getSenders()[0].stop()  # which says BYE
        [session] = server.manager.sessions.values()
        await until(lambda: session.signs and session.signs.camera_ended)
        client.send("ping", {"t": 1})
        assert (await client.message("status", state="closed"))["reason"] == "no_input"


# Those who never come


async def test_offers_that_are_never_completed_hold_no_place_and_end(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their peer answers every check and takes no answer, so nothing is ever nominated."""
    monkeypatch.setattr(peer, "CONNECT_TIMEOUT", 8.0)
    server = await start_server("identity", max_sessions=1, queue_length=100)
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.addTransceiver("video")
    await connection.setLocalDescription(await connection.createOffer())
    offer = {"sdp": connection.localDescription.sdp, "type": "offer"}
    async with aiohttp.ClientSession(server.url) as http:
        for _ in range(limits.PENDING_OFFERS - 1):
            async with http.post("/offer", json=offer) as response:
                assert response.status == 200
        async with client_of(server.url) as good:
            assert await processed(good)  # on the place, which none of the others holds
            async with http.post("/offer", json=offer) as response:
                assert response.status == 200
            async with http.post("/offer", json=offer) as response:
                assert (response.status, (await response.json())["code"]) == (503, "capacity")
                assert response.headers["Retry-After"]
            await until(lambda: not server.manager.admission.pending)
            assert len(server.manager.sessions) == 1
            async with RtcClient(server.url, 320, 240) as another:
                assert (await another.message("status", state="queued"))["place"] == 1
    await connection.close()


# At their true length


CLIENT = """
import asyncio, sys
from tests.fakes.rtc_client import RtcClient

async def main():
    client = RtcClient(sys.argv[1], 320, 240)
    await client.connect()
    await client.frames(10)
    print("sends", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""
VIEWER = """
import asyncio, sys
from tests.fakes.whep_client import WhepClient

async def main():
    client = WhepClient(sys.argv[1])
    await client.connect()
    await client.frames(10)
    print("sees", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def process_of(program: str, address: str) -> asyncio.subprocess.Process:
    """A client in a process of its own, to be killed; it is as far as it says."""
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", program, address, stdout=asyncio.subprocess.PIPE)
    assert child.stdout
    async with asyncio.timeout(60):
        assert await child.stdout.readline()
    return child


@pytest.mark.slow
async def test_killed_client_and_killed_viewer_are_gone_in_time(start_server: StartServer) -> None:
    server = await start_server("identity")
    child = await process_of(CLIENT, server.url)
    [session] = server.manager.sessions.values()
    async with RtcClient(server.url, 320, 240, fps=5) as watched:
        viewer = await process_of(VIEWER, f"{server.url}/whep/{watched.answer['view_id']}")
        transport = server.manager.sessions[watched.answer["session_id"]]._transport
        assert isinstance(transport, WebRtcTransport)
        assert transport.video.figures()["viewers"] == 1
        child.kill()
        viewer.kill()
        killed = time.monotonic()
        await asyncio.gather(child.communicate(), viewer.communicate())
        await until(lambda: not session._worker.is_connected)
        assert time.monotonic() - killed < limits.REST_AFTER + 3
        await until(lambda: session.closed, timeout=35)
        await until(lambda: transport.video.figures()["viewers"] == 0, timeout=40 - (time.monotonic() - killed))
        assert list(server.manager.sessions) == [watched.answer["session_id"]]


@pytest.mark.slow
async def test_two_hundred_offers_that_are_never_completed(start_server: StartServer) -> None:
    server = await start_server("identity", max_sessions=2, queue_length=100)
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.addTransceiver("video")
    await connection.setLocalDescription(await connection.createOffer())
    offer = {"sdp": connection.localDescription.sdp, "type": "offer"}
    statuses: list[int] = []
    async with aiohttp.ClientSession(server.url) as http:
        for _ in range(200):
            async with http.post("/offer", json=offer) as response:
                statuses.append(response.status)
                assert response.status in (200, 503)
            assert len(server.manager.admission.pending) <= limits.PENDING_OFFERS
    assert statuses.count(503) > 100
    await until(lambda: not server.manager.sessions, timeout=limits.CONNECT_TIMEOUT + 3)
    async with RtcClient(server.url, 320, 240) as good:
        await good.message("status", state="running")
    await connection.close()


# Misuse


async def test_three_messages_that_are_too_large_end_the_session(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with RtcClient(server.url, 320, 240) as client:
        await client.message("status")
        for _ in range(limits.VIOLATIONS):
            client.send_text("x" * (limits.JSON_BYTES + 1))
        assert (await client.message("status", state="closed"))["reason"] == "too_large"
        await until(lambda: not server.manager.sessions)


async def test_channels_that_do_not_belong_here_end_the_session(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with RtcClient(server.url, 320, 240) as client:
        await client.message("status")
        for _ in range(limits.VIOLATIONS - 1):
            client.pc.createDataChannel("chat")
        client.send("ping", {"t": 1})
        await client.message("pong")
        await client.frames(2)
        assert server.manager.sessions
        client.pc.createDataChannel("chat")
        await until(lambda: not server.manager.sessions)


async def test_control_channels_cannot_be_opened_without_end(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with RtcClient(server.url, 320, 240) as client:
        await client.message("status")
        for _ in range(int(limits.CHANNELS_BURST) - 1 + limits.VIOLATIONS):
            client.pc.createDataChannel("control")
        await until(lambda: not server.manager.sessions)


async def test_bad_pictures_in_a_row_close_the_socket(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with client_of(server.url) as client:
        for _ in range(2):
            for _ in range(limits.BAD_PICTURES - 1):
                await client.socket.send(b"no picture")
                assert (await client.message("error"))["code"] == "bad_image"
            assert await processed(client)
        for _ in range(limits.BAD_PICTURES):
            await client.socket.send(b"no picture")
            await client.message("error")
        assert await close_code(client) == 1008


# Sizes


async def test_painted_pictures_keep_their_size_whatever_the_camera_does(start_server: StartServer) -> None:
    server = await start_server("effects")
    async with RtcClient(server.url, 640, 480) as client:
        await client.until(lambda: any((f.width, f.height) == (512, 512) for f in client.received))
        before = len(client.received)
        [session] = server.manager.sessions.values()
        for size in ((480, 640), (1280, 720), (160, 120), (322, 242), (640, 480)):
            client.camera.resize(*size)
            painted = session.statistics.frames["painted"]
            await until(lambda painted=painted: session.statistics.frames["painted"] > painted + 3)  # type: ignore[misc]
        assert {(f.width, f.height) for f in client.received[before:]} == {(512, 512)}
        assert not session.statistics.dropped["too_large"]
        assert session.statistics.dropped["failed"] == 0
        assert not [message for message in client.messages if message["type"] == "error"]


async def test_pictures_of_unusable_size_are_told_and_end_the_session(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "UNUSABLE_END", 1.0)
    server = await start_server("identity")
    async with RtcClient(server.url, 640, 480, fps=10) as client:
        await client.frames(3)
        client.camera.resize(2064, 32)
        assert (await client.message("error"))["code"] == "frame_too_large"
        assert (await client.message("status", state="closed"))["reason"] == "frame_too_large"
        await until(lambda: not server.manager.sessions)


async def test_pictures_below_the_smallest_size_come_back_as_they_are(start_server: StartServer) -> None:
    server = await start_server("fault")
    async with client_of(server.url) as client:
        await client.socket.send(as_file(Image.new("L", (limits.SMALLEST_SIDE - 1, 64))))
        assert (await client.message("error"))["code"] == "frame_too_large"
        description, image = await client.picture()
        assert (description["processed"], image.width) == (False, limits.SMALLEST_SIDE - 1)
        await client.socket.send(as_file(Image.new("L", (limits.SMALLEST_SIDE, limits.SMALLEST_SIDE))))
        assert (await client.picture())[0]["processed"]


async def test_video_goes_on_without_the_channel(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with RtcClient(server.url, 320, 240) as client:
        await client.message("status")
        assert client.channel
        client.channel.close()
        await client.frames(20)
        assert len(server.manager.sessions) == 1


# Ends that cannot hang


class StalledSocket:
    """A client that does not read: nothing that is sent to it ever returns."""

    async def send_str(self, data: str) -> None:
        await asyncio.Event().wait()

    async def send_bytes(self, data: bytes) -> None:
        await asyncio.Event().wait()

    async def close(self, *, code: int) -> None:
        await asyncio.Event().wait()


@pytest.mark.parametrize("limit", ["CLOSE_TIMEOUT", "WS_SEND_TIMEOUT"])
async def test_socket_of_a_client_that_does_not_read_is_cut(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(ws_pictures, limit, 0.2)
    server = await start_server("identity")
    session = server.manager.create(None)
    server.manager.arrived(session, watched=True)
    cut = asyncio.Event()
    with ThreadPoolExecutor(1) as codec:
        WebSocketTransport(session, StalledSocket(), cut.set, codec)
        if limit == "CLOSE_TIMEOUT":
            await server.manager.end(session, Code.DRAINING)
            assert cut.is_set()
        else:
            async with asyncio.timeout(5):
                await cut.wait()
            monkeypatch.setattr(ws_pictures, "CLOSE_TIMEOUT", 0.2)
            cut.clear()
            await server.manager.end(session)
            assert cut.is_set()


async def test_session_ended_at_any_moment_of_connecting_leaves_nothing(start_server: StartServer) -> None:
    server = await start_server("identity")
    tasks, before = await at_rest(server)
    for step in range(8):
        async with RtcClient(server.url, 320, 240):
            await asyncio.sleep(step * 0.02)
            [session] = server.manager.sessions.values()
            await server.manager.end(session)
            assert not server.manager.sessions
    await until(lambda: len(asyncio.all_tasks()) <= tasks)
    assert not await asyncio.to_thread(lambda: leaked(before).get("descriptors"))


async def test_offer_whose_answer_cannot_be_used_leaves_nothing(start_server: StartServer) -> None:
    server = await start_server("identity")
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.addTransceiver("video")
    connection.createDataChannel("control")
    await connection.setLocalDescription(await connection.createOffer())
    sdp = str(connection.localDescription.sdp)
    wrong = (
        sdp.replace("a=mid:0", "a=mid:9"),
        sdp.replace("a=group:BUNDLE 0 1", "a=group:BUNDLE 7 8"),
        sdp.replace("a=mid:1", "a=mid:0"),
        sdp.replace("a=mid:0\r\n", ""),
    )
    async with aiohttp.ClientSession(server.url) as http:
        for offer in wrong:
            assert offer != sdp
            async with http.post("/offer", json={"sdp": offer, "type": "offer"}) as response:
                answer = await response.json()
                assert response.status in (200, 400), answer
            if response.status == 200:
                async with http.delete(f"/api/sessions/{answer['session_id']}") as response:
                    assert response.status == 200
            await until(lambda: not server.manager._closing, timeout=limits.CLOSE_TIMEOUT + 5)
            assert not server.manager.sessions
            assert not server.manager.admission.pending
    await connection.close()
