"""The fast part of fuzzing: what was kept of long runs, a few hundred mutations, a few hundred messages and frames."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.conftest import StartServer
from tests.fuzz import ws_frames
from tests.fuzz.run import mutated, plain
from tests.fuzz.settings_machine import run_machine
from tests.fuzz.targets import CORPUS, TARGETS, Target, corpus
from tests.webrtc_server.test_websocket import Client, as_file, client_of, scene
from webrtc_server.limits import IMAGE_BYTES, WS_MESSAGE_BYTES

MUTATIONS = 300
CORPUS_BYTES = 200_000  # in all


@pytest.mark.parametrize("name", TARGETS)
def test_promises_hold_for_all_that_was_kept_and_a_little_more(name: str) -> None:
    kept, chance = corpus(name), random.Random(0)
    for data in kept:
        TARGETS[name](data)
    for _ in range(MUTATIONS):
        TARGETS[name](mutated(chance, kept)[: TARGETS[name].largest])


def test_what_is_kept_is_small_and_of_targets_that_there_are() -> None:
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} == TARGETS.keys()
    assert sum(path.stat().st_size for path in files) <= CORPUS_BYTES


def test_a_broken_promise_is_found_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fragile(data: bytes) -> None:
        assert b"candidatecandidate" not in data.replace(b":", b"")

    monkeypatch.setitem(TARGETS, "sdp", Target(fragile, lambda: [b"a=candidate:"], 4096))
    with pytest.raises(AssertionError):
        plain("sdp", 60, 1, tmp_path)
    (found,) = tmp_path.iterdir()
    assert found.read_bytes().count(b"candidate") > 1


def test_settings_are_atomic() -> None:
    run_machine(300)


async def test_broken_frames_close_the_socket_with_their_code(start_server: StartServer) -> None:
    server = await start_server("identity")
    for name, case in ws_frames.CASES.items():
        assert await ws_frames.end_of(server.url, case.data) == case.code, name


@pytest.mark.slow
async def test_server_goes_on_after_a_storm_of_frames(start_server: StartServer) -> None:
    server = await start_server("identity")
    await ws_frames.attack(server.url, 60, random.Random(0))
    async with client_of(server.url) as client:
        await client.socket.send(as_file(scene()))
        assert (await client.picture())[0]["processed"]
    assert len(server.manager.sessions) <= 1


async def test_messages_at_the_limit_and_one_above(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with connect(server.url.replace("http", "ws") + "/ws", max_size=None) as socket:
        client = Client(socket)
        for size, code in (
            (IMAGE_BYTES, "bad_image"),
            (IMAGE_BYTES + 1, "too_large"),
            (WS_MESSAGE_BYTES, "too_large"),
        ):
            await socket.send(bytes(size))
            assert (await client.message("error"))["code"] == code
        await socket.send([bytes(1 << 20)] * (WS_MESSAGE_BYTES >> 20))  # in pieces, a whole one
        assert (await client.message("error"))["code"] == "too_large"
        assert not socket.protocol.extensions  # compression, which this client offers, is not agreed to
        with contextlib.suppress(ConnectionClosed):  # in the middle of it
            await socket.send(bytes(WS_MESSAGE_BYTES + 1))
        await socket.wait_closed()
        assert socket.close_code == 1009
