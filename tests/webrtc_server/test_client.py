"""The public client against a real server: pictures, settings, refusals, ends."""

from __future__ import annotations

import asyncio
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.conftest import StartServer
from webrtc_server.client import ConnectionLost, Pictures, ServerError, connect, video_file

GREEN = np.full((240, 320, 3), (30, 200, 30), np.uint8)


async def show(source: Pictures, picture: NDArray[np.uint8]) -> None:
    while True:
        source.show(picture)
        await asyncio.sleep(1 / 30)


async def test_own_pictures_come_back_as_arrays_and_settings_are_obeyed(start_server: StartServer) -> None:
    server = await start_server("identity")
    source = Pictures()
    camera = asyncio.create_task(show(source, GREEN))
    async with connect(server.url, source, settings={"prompt": "first"}) as session:
        picture = await anext(session)
        assert picture.shape == (240, 320, 3)
        assert np.abs(picture.mean((0, 1)) - GREEN[0, 0]).max() < 12
        applied = await session.set(prompt="second", steps=3)
        assert (applied["version"], applied["settings"]["prompt"]) == (1, "second")
        assert session.status["settings"]["prompt"] == "first", "as the last status told"
        with pytest.raises(ServerError) as caught:
            await session.set(steps=99)
        assert (caught.value.code, list(caught.value.fields)) == ("invalid_settings", ["steps"])
        assert (await session.request("get_status"))["settings"]["steps"] == 3
        assert server.manager.find(session.session_id).view_id == session.view_id
        assert (await session.view_path()).startswith(f"/view/{session.view_id}#token=")
    assert not server.manager.sessions
    with pytest.raises(ConnectionLost):
        await session.set(prompt="third")
    camera.cancel()


async def test_a_file_is_painted_again_and_again(start_server: StartServer, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 30, {"threads": "1"})
        stream.width, stream.height = 320, 240
        for index in range(10):
            frame = av.VideoFrame.from_ndarray(GREEN // (1 + index % 2), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    server = await start_server("identity")
    async with connect(server.url, video_file(str(path))) as session, asyncio.timeout(10):
        for _ in range(25):  # the clip has 10
            await session.frame()


async def test_a_slow_reader_gets_the_newest(start_server: StartServer) -> None:
    server = await start_server("identity")
    source = Pictures()
    camera = asyncio.create_task(show(source, GREEN))
    async with connect(server.url, source) as session:
        await anext(session)
        await asyncio.sleep(0.5)
        assert session.missed > 5
    camera.cancel()


async def test_what_the_server_refuses_is_an_error_with_its_code(start_server: StartServer) -> None:
    server = await start_server("identity")
    with pytest.raises(ServerError) as caught:
        async with connect(server.url, Pictures(), settings={"steps": 99}):
            pass
    assert caught.value.code == "invalid_settings"
    assert caught.value.fix


async def test_a_session_that_the_server_ends_says_why(start_server: StartServer) -> None:
    server = await start_server("identity")
    source = Pictures()
    camera = asyncio.create_task(show(source, GREEN))
    async with connect(server.url, source, client_id="me") as session:
        await anext(session)
        while not session.status:
            await anext(session)
        closing = asyncio.create_task(server.manager.close())
        with pytest.raises(ServerError, match="draining"):
            [picture async for picture in session]
        await closing
    camera.cancel()


async def test_nobody_there() -> None:
    source = Pictures()
    with pytest.raises(ConnectionLost):
        async with connect("http://127.0.0.1:9", source):
            pass
    assert source.readyState == "ended"
