"""From a source of pictures through a server to an output: what `live-diffusion client` does once it knows them."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import signal
import time
from collections.abc import AsyncIterator, Callable
from fractions import Fraction
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import av
import numpy as np
import typer
from aiortc.mediastreams import MediaStreamTrack
from av.video.stream import VideoStream

from webrtc_server.client import Pictures, Session, camera, connect, video_file
from webrtc_server.rtc import patches

REPORT_EVERY = 2.0  # seconds
MILLISECOND = Fraction(1, 1000)
CODECS = {".mp4": "libx264", ".mkv": "libx264", ".webm": "libvpx"}


class NoSuchOutput(Exception):
    """An output that this program does not know."""


class Output(Protocol):
    """Where painted pictures go. Called outside the event loop."""

    def write(self, frame: av.VideoFrame) -> None: ...
    def close(self) -> None: ...


class Nothing:
    """The report alone is wanted."""

    def write(self, frame: av.VideoFrame) -> None:
        pass

    def close(self) -> None:
        pass


class VideoFile:
    """A film that runs as it came: each picture has the time at which it was painted, and the first one's size."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self._container = av.open(str(path), "w")
        self._codec = CODECS[path.suffix.lower()]
        self._stream: VideoStream | None = None
        self._begin = 0.0
        self._last = -1

    def write(self, frame: av.VideoFrame) -> None:
        now = frame.time or 0.0
        if self._stream is None:
            self._begin, self._stream = now, self._add_stream(frame.width, frame.height)
        picture = frame.reformat(self._stream.width, self._stream.height, "yuv420p")
        self._last = max(self._last + 1, round((now - self._begin) / MILLISECOND))
        picture.pts, picture.time_base = self._last, MILLISECOND
        self._container.mux(self._stream.encode(picture))

    def _add_stream(self, width: int, height: int) -> VideoStream:
        stream = self._container.add_stream(self._codec, 30)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = MILLISECOND
        return stream

    def close(self) -> None:
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))
        self._container.close()


class VirtualCamera:
    """A camera of this machine, for calls and for OBS. It takes the first picture's size."""

    def __init__(self) -> None:
        """Raises ImportError, which says what to install."""
        try:
            import pyvirtualcam  # an extra: it needs a driver of the system
        except ImportError as error:
            raise ImportError("pyvirtualcam is not installed: pip install 'live-diffusion[virtual-camera]'") from error
        self._open: Callable[..., pyvirtualcam.Camera] = pyvirtualcam.Camera
        self._camera: pyvirtualcam.Camera | None = None

    def write(self, frame: av.VideoFrame) -> None:
        """Raises RuntimeError without the driver."""
        if self._camera is None:
            self._camera = self._open(frame.width, frame.height, 30)
        self._camera.send(frame.to_ndarray(width=self._camera.width, height=self._camera.height, format="rgb24"))

    def close(self) -> None:
        if self._camera:
            self._camera.close()


async def run(
    url: str,
    source: str,
    output: str,
    settings: dict[str, object],
    token: str | None,
    seconds: float | None,
    loop: bool,
) -> None:
    """Raises what `connect` does; OSError, ValueError, ImportError or RuntimeError for a source or output that does not
    work, NoSuchOutput.
    """
    if _is_local(url):
        patches.offer_loopback()  # a machine without a network has no other address
    sink = _output(output)
    try:
        track = _source(source, loop)
        async with connect(url, track, settings=settings, token=token) as session:
            typer.echo(f"connected; others can watch at {url.rstrip('/')}{await session.view_path()}")
            await _copy(session, sink, _stop_signal(track, seconds))
    finally:
        await asyncio.to_thread(sink.close)


async def _copy(session: Session, sink: Output, stop: asyncio.Event) -> None:
    written, missed, reported = 0, 0, time.monotonic()
    async for frame in _until(stop, session):
        await asyncio.to_thread(sink.write, frame)
        written += 1
        now = time.monotonic()
        if now - reported >= REPORT_EVERY:
            lost, missed = session.missed - missed, session.missed
            state = session.status.get("state", "connected")
            typer.echo(f"{state}: {written / (now - reported):.1f} pictures a second, {lost} missed")
            written, reported = 0, now


async def _until(stop: asyncio.Event, session: Session) -> AsyncIterator[av.VideoFrame]:
    stopped = asyncio.create_task(stop.wait())
    try:
        while not stop.is_set():
            frame = asyncio.create_task(session.frame())
            await asyncio.wait((frame, stopped), return_when=asyncio.FIRST_COMPLETED)
            if not frame.done():
                frame.cancel()
                return
            yield await frame
    finally:
        stopped.cancel()


def _stop_signal(track: MediaStreamTrack, seconds: float | None) -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # on Windows Ctrl+C ends the loop itself
            loop.add_signal_handler(number, stop.set)
    track.on("ended", stop.set)
    if seconds is not None:
        loop.call_later(seconds, stop.set)
    return stop


def _source(name: str, loop: bool) -> MediaStreamTrack:
    """Raises OSError, ValueError."""
    if name == "test-card":
        return MovingBars()
    if name == "camera" or name.startswith("camera:"):
        return camera(name.removeprefix("camera").removeprefix(":") or None)
    return video_file(name, loop)


def _output(name: str) -> Output:
    if name == "none":
        return Nothing()
    if name == "virtual-camera":
        return VirtualCamera()
    if Path(name).suffix.lower() not in CODECS:
        raise NoSuchOutput(f"--out {name} is neither none, virtual-camera, nor a file that ends in {', '.join(CODECS)}")
    return VideoFile(Path(name))


class MovingBars(Pictures):
    """Bars that move, for a machine without a camera: 640x480, 30 a second."""

    def __init__(self) -> None:
        super().__init__()
        bars = np.array([[c >> 2 & 1, c >> 1 & 1, c & 1] for c in range(7, -1, -1)], np.uint8) * 191
        self._picture = np.repeat(np.repeat(bars, 80, axis=0)[None], 480, axis=0)
        self._number = 0

    async def recv(self) -> av.VideoFrame:
        await asyncio.sleep(1 / 30)
        self._number += 1
        self.show(np.roll(self._picture, 4 * self._number, axis=1))
        return await super().recv()


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
