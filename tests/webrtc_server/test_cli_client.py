"""`live-diffusion client` as a process of its own, against a server here."""

from __future__ import annotations

import asyncio
import signal
import sys
import types
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.conftest import StartServer
from webrtc_server.cli.streaming import VirtualCamera


async def client(*arguments: str, stop_after: str = "") -> tuple[int, str]:
    """Exit code and output; Ctrl+C as soon as `stop_after` is printed."""
    command = (sys.executable, "-u", "-m", "webrtc_server", "client", *arguments)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=asyncio.subprocess.STDOUT)
    assert process.stdout
    text = ""
    while line := (await process.stdout.readline()).decode():
        text += line
        if stop_after and stop_after in line:
            process.send_signal(signal.SIGINT)
    return await process.wait(), text


def film(path: Path) -> tuple[float, av.VideoFrame]:
    """Its length in seconds, its last picture."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    assert frames[0].time is not None
    assert frames[-1].time is not None
    return frames[-1].time - frames[0].time, frames[-1]


async def test_the_test_card_becomes_a_film_as_it_is_painted(start_server: StartServer, tmp_path: Path) -> None:
    server = await start_server("effects")
    path = tmp_path / "painted.mp4"
    arguments = ("--in", "test-card", "--out", str(path), "--set", "prompt=invert", "--seconds", "3")
    code, text = await client(server.url, *arguments)
    assert code == 0, text
    assert "running: " in text
    seconds, last = film(path)
    assert 1.5 < seconds < 3.5
    assert (last.width, last.height) == (512, 512)
    assert not server.manager.sessions


async def test_ctrl_c_leaves_a_whole_film_and_no_session(start_server: StartServer, tmp_path: Path) -> None:
    server = await start_server("identity")
    path = tmp_path / "painted.webm"
    code, text = await client(server.url, "--in", "test-card", "--out", str(path), stop_after="pictures a second")
    assert code == 0, text
    assert film(path)[0] > 1
    assert not server.manager.sessions


async def test_a_file_is_sent_to_its_end(start_server: StartServer, tmp_path: Path) -> None:
    server = await start_server("identity")
    first, second = tmp_path / "first.mkv", tmp_path / "second.mkv"
    code, text = await client(server.url, "--in", "test-card", "--out", str(first), "--seconds", "2")
    assert code == 0, text
    code, text = await client(server.url, "--in", str(first), "--out", str(second))
    assert code == 0, text
    difference = film(second)[1].to_ndarray(format="gray").astype(float).mean() - 95  # the bars' own mean is 95
    assert abs(difference) < 15


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--in", "test-card", "--out", "film.gif"), 2, "film.gif"),
        (("--set", "prompt"), 2, "name=value"),
        (("--in", "nowhere.mp4"), 3, "nowhere.mp4"),
        (("--in", "test-card", "--set", "steps=99"), 3, "steps"),
        (("--in", "test-card", "--out", "virtual-camera"), 3, "virtual-camera"),
    ],
)
async def test_what_does_not_work_says_so(
    start_server: StartServer, arguments: tuple[str, ...], code: int, words: str
) -> None:
    server = await start_server("identity")
    result, text = await client(server.url, *arguments)
    assert result == code, text
    assert text.startswith("error: ")
    assert words in text


async def test_no_server() -> None:
    code, text = await client("http://127.0.0.1:9", "--in", "test-card")
    assert (code, text.startswith("error: the server cannot be reached")) == (1, True)


def test_a_virtual_camera_gets_every_picture_at_the_size_of_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[int, ...]] = []

    class Camera:
        def __init__(self, width: int, height: int, fps: float) -> None:
            self.width, self.height = width, height

        def send(self, picture: np.ndarray) -> None:
            sent.append(picture.shape)

        def close(self) -> None:
            sent.append(())

    monkeypatch.setitem(sys.modules, "pyvirtualcam", types.SimpleNamespace(Camera=Camera))
    camera = VirtualCamera()
    for width in (64, 128):
        frame = av.VideoFrame(width, 48, "yuv420p")
        frame.pts, frame.time_base = 0, Fraction(1, 90_000)
        camera.write(frame)
    camera.close()
    assert sent == [(48, 64, 3), (48, 64, 3), ()]
