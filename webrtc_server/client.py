"""A client in Python: your pictures go to a server, the painted ones come back as numpy arrays.

    async with connect("http://localhost:8000", video_file("clip.mp4"), settings={"prompt": "starry night"}) as session:
        async for picture in session:  # (height, width, 3), uint8, RGB
            ...

It needs aiortc and aiohttp and nothing else of this project, so the file may be copied into another one.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import sys
import time
from collections.abc import AsyncIterator, Mapping
from fractions import Fraction
from typing import Any, cast

import aiohttp
import av
import numpy as np
from aiortc import RTCConfiguration, RTCDataChannel, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaPlayer
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from numpy.typing import NDArray

CONNECT_TIMEOUT = 15.0  # seconds to a connection, and for the server to answer a request
REPLY_TIMEOUT = 40.0  # seconds for a message's reply; settings that need a model to be loaded take up to 30
CLOSE_TIMEOUT = 5.0  # seconds
CLOCK = Fraction(1, 90_000)  # of video in RTP (RFC 3551 section 5)

_CAMERAS = {  # FFmpeg's name of the system's cameras, and of the first one
    "linux": ("v4l2", "/dev/video0"),
    "darwin": ("avfoundation", "default:none"),
    "win32": ("dshow", "video=Integrated Camera"),
}


class ServerError(Exception):
    """What the server says is wrong: its `code`, what happened, what to do, and the bad fields with a sentence each."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        self.code = str(error.get("code", "internal"))
        self.message = str(error.get("message") or error.get("detail") or "The server refused without a reason.")
        self.fix = str(error.get("fix", ""))
        self.fields = {item["field"]: item["message"] for item in error.get("fields") or ()}
        self.retryable = bool(error.get("retryable", False))
        super().__init__(" ".join([f"{self.code}: {self.message}", self.fix, *map(str, self.fields.items())]).strip())


class ConnectionLost(Exception):
    """The connection could not be made, or is gone. A new one may work."""


class Pictures(MediaStreamTrack):
    """A source of your own pictures: `show` one whenever you have it. The newest is sent, older ones are dropped."""

    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        self._newest: av.VideoFrame | None = None
        self._news = asyncio.Event()
        self._begun = time.monotonic()

    def show(self, picture: NDArray[np.uint8]) -> None:
        """`picture` is (height, width, 3), uint8, RGB, both sides even. It is copied."""
        self.show_frame(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24"))

    def show_frame(self, frame: av.VideoFrame) -> None:
        """As `show`; the frame's time stamps do not count, the moment of the call does."""
        self._newest = frame
        self._news.set()

    async def recv(self) -> av.VideoFrame:
        while self._newest is None:
            if self.readyState != "live":
                raise MediaStreamError
            self._news.clear()
            await self._news.wait()
        frame, self._newest = self._newest, None
        frame.pts, frame.time_base = round((time.monotonic() - self._begun) / CLOCK), CLOCK
        return frame

    def stop(self) -> None:
        super().stop()
        self._news.set()


def video_file(path: str, loop: bool = True) -> MediaStreamTrack:
    """A video file at its own speed. Raises OSError if there is none, ValueError if it has no video."""
    return _video(MediaPlayer(path, loop=loop), path)


def camera(device: str | None = None, width: int = 640, height: int = 480, fps: int = 30) -> MediaStreamTrack:
    """A camera of this machine: the first, or `device`, named as FFmpeg does. Raises OSError if it is not there."""
    form, first = _CAMERAS.get(sys.platform, _CAMERAS["linux"])
    options = {"video_size": f"{width}x{height}", "framerate": str(fps)}
    return _video(MediaPlayer(device or first, format=form, options=options), device or first)


def _video(player: MediaPlayer, name: str) -> MediaStreamTrack:
    if player.video is None:
        raise ValueError(f"{name} has no video")
    return player.video


class Session:
    """A running session, made by `connect`. Iterating gives the painted pictures; one that is not fetched in time is
    replaced by the next, so that a slow reader sees the newest.
    """

    def __init__(self, http: aiohttp.ClientSession, peer: RTCPeerConnection, channel: RTCDataChannel) -> None:
        self.session_id = ""  # a secret: whoever has it controls the session
        self.view_id = ""  # lets others watch, at /view/{view_id}
        self.status: dict[str, Any] = {}  # as the server told it last; empty until the channel is open
        self.stats: dict[str, Any] = {}  # as it was told last, after `request("subscribe_stats", {"interval_s": 1})`
        self.missed = 0  # painted pictures that a newer one replaced before they were fetched
        self._http = http
        self._peer = peer
        self._channel = channel
        self._newest: av.VideoFrame | None = None
        self._news = asyncio.Event()
        self._open = asyncio.Event()
        self._connected = asyncio.Event()
        self._ended: Exception | None = None
        self._numbers = itertools.count(1)
        self._replies: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._reader: asyncio.Task[None] | None = None
        channel.on("open", self._open.set)
        channel.on("message", self._on_message)
        peer.on("track", self._on_track)
        peer.on("connectionstatechange", self._on_state)

    def __aiter__(self) -> AsyncIterator[NDArray[np.uint8]]:
        return self

    async def __anext__(self) -> NDArray[np.uint8]:
        """The next painted picture: (height, width, 3), uint8, RGB. Raises ServerError, ConnectionLost."""
        picture = (await self.frame()).to_ndarray(format="rgb24")
        assert picture.dtype == np.uint8
        return cast(NDArray[np.uint8], picture)

    async def frame(self) -> av.VideoFrame:
        """As iterating, but as it was decoded, with its time stamp. Raises ServerError, ConnectionLost."""
        while self._newest is None:
            if self._ended:
                raise self._ended
            self._news.clear()
            await self._news.wait()
        frame, self._newest = self._newest, None
        return frame

    async def set(self, **settings: object) -> dict[str, Any]:
        """Change settings: all of these, or none; `settings_applied`. Raises ServerError, ConnectionLost."""
        return await self.request("settings", settings)

    async def view_path(self) -> str:
        """Where on this server others can watch, for an hour or so. Raises ServerError, ConnectionLost."""
        return str((await _answer(self._http.post(f"api/sessions/{self.session_id}/view-token")))["url"])

    async def request(self, kind: str, data: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send a message of the control protocol; its reply's data. Raises ServerError, ConnectionLost."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await self._open.wait()
        except TimeoutError:
            raise ConnectionLost("the data channel did not open in time") from None
        if self._ended:
            raise self._ended
        number = str(next(self._numbers))
        reply = self._replies[number] = asyncio.get_running_loop().create_future()
        try:
            self._channel.send(json.dumps({"type": kind, "data": dict(data or {}), "id": number}))
            return await asyncio.wait_for(reply, REPLY_TIMEOUT)
        except TimeoutError:
            raise ConnectionLost(f"no reply to {kind} in {REPLY_TIMEOUT:.0f} s") from None
        finally:
            del self._replies[number]

    def _on_message(self, text: str) -> None:
        message = json.loads(text)
        data = message.get("data", {})
        if message["type"] == "status":
            self.status = data
            if data["state"] == "closed":
                self._end(ServerError({"code": data["reason"] or "session_ended", "message": data["message"]}))
        elif message["type"] == "stats":
            self.stats = data
        reply = self._replies.get(message.get("id", ""))
        if reply and not reply.done():
            if message["type"] == "error":
                reply.set_exception(ServerError(data))
            else:
                reply.set_result(data)

    def _on_track(self, track: MediaStreamTrack) -> None:
        if track.kind == "video":
            self._reader = asyncio.create_task(self._read(track), name="painted pictures")

    async def _read(self, track: MediaStreamTrack) -> None:
        """aiortc queues what nobody reads, without a limit: so everything is read, and the newest is kept."""
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                assert isinstance(frame, av.VideoFrame)
                self.missed += self._newest is not None
                self._newest = frame
                self._news.set()
        self._end(ConnectionLost("the video has ended"))

    def _on_state(self) -> None:
        if self._peer.connectionState == "connected":
            self._connected.set()
        elif self._peer.connectionState in ("failed", "closed"):
            self._end(ConnectionLost("the connection is gone"))

    async def _until_connected(self) -> None:
        """Raises ConnectionLost: aiortc itself would try for a minute, or for ever."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await self._connected.wait()
        except TimeoutError:
            raise ConnectionLost("no way for the video was found; a firewall may be blocking UDP") from None
        if self._ended:
            raise self._ended

    def _end(self, reason: Exception) -> None:
        if self._ended is None:
            self._ended = reason
        for reply in self._replies.values():
            if not reply.done():
                reply.set_exception(self._ended)
        for happened in (self._open, self._connected, self._news):
            happened.set()

    async def _close(self) -> None:
        self._end(ConnectionLost("the session was closed"))
        if self._reader:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._peer.close()
                for transceiver in self._peer.getTransceivers():
                    await transceiver.stop()  # again: one that was about to start while the others were stopped goes on


@contextlib.asynccontextmanager
async def connect(
    url: str,
    source: MediaStreamTrack,
    *,
    settings: Mapping[str, Any] | None = None,
    token: str | None = None,
    client_id: str | None = None,
) -> AsyncIterator[Session]:
    """A session with the server at `url`, painting what `source` gives. `source` is stopped with it.

    `token` is what the server's owner calls AUTH_TOKEN; a session of the same `client_id` gives way to this one.
    Raises ServerError where the server refuses, ConnectionLost where it cannot be reached.
    """
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    timeout = aiohttp.ClientTimeout(CONNECT_TIMEOUT)
    try:
        async with aiohttp.ClientSession(f"{url.rstrip('/')}/", headers=headers, timeout=timeout) as http:
            servers = await _answer(http.get("api/ice"))
            peer = RTCPeerConnection(RTCConfiguration([RTCIceServer(**server) for server in servers["iceServers"]]))
            session = Session(http, peer, peer.createDataChannel("control"))
            try:
                peer.addTrack(source)
                await peer.setLocalDescription(await peer.createOffer())
                offer: dict[str, Any] = {"type": "offer", "sdp": peer.localDescription.sdp}
                optional = {"settings": dict(settings) if settings else None, "client_id": client_id}
                offer |= {name: value for name, value in optional.items() if value is not None}
                answer = await _answer(http.post("offer", json=offer))
                session.session_id, session.view_id = answer["session_id"], answer["view_id"]
                await peer.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
                await session._until_connected()
                yield session
            finally:
                await session._close()
                if session.session_id:
                    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                        await http.delete(f"api/sessions/{session.session_id}")
    finally:
        source.stop()


async def _answer(request: contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]) -> dict[str, Any]:
    """Raises ServerError, ConnectionLost."""
    try:
        async with request as response:
            answer: dict[str, Any] = await response.json(content_type=None)
            if response.status >= 400:
                raise ServerError(answer)
            return answer
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise ConnectionLost(f"the server cannot be reached: {str(error) or type(error).__name__}") from error
