"""A network that delays, reorders, repeats, loses, and goes away: the picture goes on and the session stays."""

from __future__ import annotations

import asyncio

from tests.conftest import StartServer
from tests.fakes.link import Conditions
from tests.fakes.rtc_client import RtcClient

UNTIDY = Conditions(delay=(0.01, 0.05), duplicates=0.05)  # packets of a frame lie closer than that: many change places


async def test_reordered_and_repeated_packets_cost_no_picture_and_no_message(
    start_server: StartServer, seed: int
) -> None:
    server = await start_server("identity")
    async with RtcClient(server.url, 320, 240, fps=20, conditions=UNTIDY, seed=seed, repairs=True) as client:
        await client.frames(20)
        numbers = [frame.number for frame in await client.frames(30)]
        shown = [number for number in numbers if number is not None]
        assert len(shown) >= 28
        assert shown == sorted(shown)
        assert shown[-1] - shown[0] <= 45  # the camera's pictures of that time: no more than a third is missing
        for number in range(5):
            client.send("settings", {"seed": number}, str(number))
        applied = [await client.message("settings_applied", id=str(number)) for number in range(5)]
        assert [each["settings"]["seed"] for each in applied] == [0, 1, 2, 3, 4]


async def test_a_blackout_of_two_seconds_ends_nothing(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with RtcClient(server.url, 320, 240, fps=20, repairs=True) as client:
        await client.frames(10)
        client.link.cut()
        await asyncio.sleep(2)
        before = client.link.dropped
        assert before > 20
        client.link.mend()
        newest = max(client.camera.sent)
        await client.until(lambda: (client.received[-1].number or 0) > newest, timeout=10)
        client.send("ping", {"t": 1}, "p")
        assert (await client.message("pong", id="p"))["t"] == 1
        assert len(server.manager.sessions) == 1


async def test_a_client_that_vanishes_sends_no_goodbye(start_server: StartServer) -> None:
    server = await start_server("identity")
    client = RtcClient(server.url, 320, 240, fps=20)
    await client.connect()
    await client.frames(3)
    await client.vanish()
    await asyncio.sleep(1)
    assert len(server.manager.sessions) == 1  # a client that closes is gone in a moment
