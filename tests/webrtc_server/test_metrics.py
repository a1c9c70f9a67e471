"""`/metrics`, read as Prometheus does: counters agree with what clients saw, and outlive them; nobody adds a series."""

from __future__ import annotations

import asyncio
import json
from typing import Any, get_args

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.worker.supervisor import Phase
from tests.conftest import StartServer
from tests.fakes.rtc_client import OfferRefused, RtcClient
from tests.fakes.server import RunningServer
from tests.fakes.whep_client import WhepClient
from tests.webrtc_server.test_session_life import until
from tests.webrtc_server.test_websocket import as_file, client_of, scene
from webrtc_server.observe.histogram import BUCKETS, Histogram, StageTimes
from webrtc_server.protocol.error_codes import Code
from webrtc_server.sessions.session import Session

TOKEN = "0123456789abcdef-token"

Series = dict[tuple[str, tuple[str, ...]], float]


async def scrape(server: RunningServer, token: str = "") -> str:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession(server.url, headers=headers) as http, http.get("/metrics") as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        return await response.text()


def series(text: str) -> Series:
    """The values by short name and values of labels, in the order of the labels' names."""
    return {
        (sample.name.removeprefix("live_diffusion_"), tuple(value for _, value in sorted(sample.labels.items()))): (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_pictures_are_counted_as_they_came_back_and_stay_counted(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await start_server("identity", max_sessions=1)
    before = series(await scrape(server))
    assert before["frames_total", ("received", "ws")] == before["sessions_total", ("left", "ws")] == 0

    may_close, close = asyncio.Event(), Session.close

    async def close_later(session: Session[Any], reason: Code | None) -> None:
        await may_close.wait()
        await close(session, reason)

    monkeypatch.setattr(Session, "close", close_later)
    async with client_of(server.url) as client:
        for _ in range(5):
            await client.socket.send(as_file(scene()))
            await client.picture()
        await client.socket.send(b"no picture")
        await client.message("error")
        for data in ({"prompt": "a"}, {"prompt": "b"}, {"prompt": "b"}, {"steps": 99}):
            await client.send("settings", data)
            await client.message("error" if "steps" in data else "settings_applied")
        here = series(await scrape(server))
        assert (here["sessions", ("painted",)], here["sessions", ("queued",)], here["places", ()]) == (1, 0, 1)
    await until(lambda: not server.manager.sessions)
    leaving = series(await scrape(server))
    may_close.set()
    await until(lambda: bool(server.manager.ended))
    after = series(await scrape(server))

    for counted in (here, leaving, after):  # while it is closed, too
        assert [counted["frames_total", (stage, "ws")] for stage in ("received", "sent")] == [5, 5]
        assert sum(counted["frames_total", (stage, "ws")] for stage in ("painted", "passed_through")) == 5
        assert [counted["settings_updates_total", (r,)] for r in ("applied", "unchanged", "refused")] == [2, 1, 1]
        assert (counted["errors_total", ("bad_image",)], counted["errors_total", ("invalid_settings",)]) == (1, 1)
        assert counted["frame_stage_seconds_count", ("server",)] == 5
        assert 0 < counted["frame_stage_seconds_sum", ("pipeline",)] < 5
    assert (leaving["sessions", ("painted",)], after["sessions_total", ("left", "ws")]) == (0, 1)


async def test_video_bytes_and_viewers_of_a_call(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with RtcClient(server.url, 320, 240) as client:
        await client.frames(5)
        async with WhepClient(f"{server.url}/whep/{client.answer['view_id']}") as viewer:
            await viewer.frames(2)
            assert series(await scrape(server))["viewers", ()] == 1
        await client.frames(5)
        [session] = server.manager.sessions.values()
        transport = session._transport
        assert transport is not None
        transport.figures()
        await until(lambda: "bytes_sent" in transport.figures())
        figures, counted = transport.figures(), transport.counted()  # aiortc's own report is somewhat older
        assert 0.5 * counted.bytes["out"] < (figures["bytes_sent"] or 0) <= counted.bytes["out"]
        assert 0.5 * counted.bytes["in"] < (figures["bytes_received"] or 0) <= counted.bytes["in"]
        received = len(client.received)
    await until(lambda: bool(server.manager.ended))
    values = series(await scrape(server))
    assert values["frames_total", ("sent", "webrtc")] >= received
    assert values["frame_stage_seconds_count", ("encode",)] >= received
    assert values["rtp_bytes_total", ("out",)] > counted.bytes["out"]  # the viewer's are with it
    assert values["rtp_bytes_total", ("in",)] >= counted.bytes["in"]
    assert values["sessions_total", ("left", "webrtc")] == 1
    assert (values["viewers", ()], values["ice_failures_total", ()]) == (0, 0)


async def test_a_link_that_never_stands_is_an_ice_failure(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webrtc_server.rtc.peer.CONNECT_TIMEOUT", 0.2)
    server = await start_server("identity")
    client = RtcClient(server.url)
    await client.post(await client.offer())
    assert series(await scrape(server))["sessions", ("connecting",)] == 1
    await until(lambda: bool(server.manager.ended))
    await client.close()
    values = series(await scrape(server))
    assert (values["ice_failures_total", ()], values["sessions_total", ("ice_failed", "webrtc")]) == (1, 1)


async def test_the_workers_life(start_server: StartServer) -> None:
    server = await start_server("identity")
    text = await scrape(server)
    values = series(text)
    assert 'live_diffusion_model_info{device="cpu",model="",pipeline="identity"} 1.0' in text
    assert 0 < values["model_load_seconds", ()] < 30
    assert (values["model_ready", ()], values["worker_restarts_total", ()]) == (1, 0)
    assert {phase: values["worker_phase", (phase,)] for phase in get_args(Phase)} == dict.fromkeys(
        get_args(Phase), 0
    ) | {"ready": 1}
    assert values["event_loop_lag_seconds_count", ()] > 0
    server.kill_worker()
    await server.worker_left_ready()
    assert series(await scrape(server))["model_ready", ()] == 0
    await server.worker_is("ready")
    assert series(await scrape(server))["worker_restarts_total", ()] == 1


async def test_what_clients_send_makes_no_series_and_is_in_none(start_server: StartServer) -> None:
    server = await start_server("identity", auth_token=TOKEN, max_sessions=1, queue_length=0)
    known = set(series(await scrape(server, TOKEN)))
    evil = 'evil{code="x"} 1\nlive_diffusion_evil 1'
    async with aiohttp.ClientSession(server.url, headers={"Authorization": f"Bearer {TOKEN}"}) as http:
        for path in ("/evil", "/metrics/evil", "/whep/evil", "/api/sessions/evil"):
            await http.delete(path)
        await http.request("EVIL", "/offer", data=evil)
        await http.post("/offer", json={"sdp": evil, "type": evil})
        async with RtcClient(
            server.url, 320, 240, token=TOKEN, client_id="evil", settings={"prompt": "evil"}
        ) as client:
            await client.frames(2)
            client.send(evil, {evil: evil})
            client.send("settings", {evil: evil, "pipeline": evil})
            client.send("load_model", {"model": evil})
            client.send_text(json.dumps({"type": "ping", "data": {"t": evil}, "id": evil}))
            for _ in range(3):
                await client.message("error")
            with pytest.raises(OfferRefused):
                await RtcClient(server.url, token=TOKEN).connect()
            text = await scrape(server, TOKEN)
            secrets = (client.answer["session_id"], client.answer["view_id"], TOKEN, "evil", "127.0.0.1")
            assert not [secret for secret in secrets if secret in text]
            assert set(series(text)) == known
    values = series(text)
    assert {labels[0] for name, labels in known if name == "errors_total"} == set(Code)
    for code in (Code.NOT_FOUND, Code.UNKNOWN_TYPE, Code.INVALID_SETTINGS, Code.UNKNOWN_MODEL, Code.CAPACITY):
        assert values["errors_total", (code,)] >= 1, code


async def test_who_may_read_it(start_server: StartServer) -> None:
    server = await start_server("identity", auth_token=TOKEN)
    async with aiohttp.ClientSession(server.url) as http:
        for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": f"Bearer {TOKEN[:-1]}"}):
            async with http.get("/metrics", headers=headers) as response:
                assert response.status == 401
    assert series(await scrape(server, TOKEN))["errors_total", ("unauthorized",)] == 3
    silent = await start_server("identity", metrics=False)
    async with aiohttp.ClientSession(silent.url) as http, http.get("/metrics") as response:
        assert response.status == 404


def test_a_histogram_counts_a_bound_in_its_own_bucket_and_adds_up() -> None:
    first, second = Histogram(), Histogram()
    for seconds in (0.0, BUCKETS[0], BUCKETS[0] + 1e-6, BUCKETS[-1], BUCKETS[-1] + 1e-6):
        first.add(seconds)
    assert (first.counts[0], first.counts[1], first.counts[-2], first.counts[-1]) == (2, 1, 1, 1)
    second.merge(first)
    second.merge(first)
    assert sum(second.counts) == 10
    assert second.sum == pytest.approx(2 * first.sum)
    assert sum(first.counts) == 5
    times = StageTimes(second)
    times.add(1500)  # milliseconds
    assert (second.counts[-2], times.percentile(50)) == (3, 1500)
