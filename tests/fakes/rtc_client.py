"""A WebRTC client for tests and benchmarks: an aiortc peer with a numbered camera, the control channel, and a log of
what came back and when.

It releases a received frame at its last packet (the marker bit), as browsers do; aiortc alone waits for the first
packet of the next frame, which would measure its own wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import aiohttp
import av
import numpy as np
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
    jitterbuffer,
)
from aiortc.mediastreams import MediaStreamError
from numpy.typing import NDArray

from tests.fakes import barcode
from tests.fakes.link import Conditions, Link
from webrtc_server.rtc.receiver import VideoReceiver

TICKS = 90_000


def release_at_marker() -> None:
    """Process-wide, repeatable."""

    def remove_frame(self: jitterbuffer.JitterBuffer, sequence_number: int) -> jitterbuffer.JitterFrame | None:
        packets: list[Any] = []
        assert self._origin is not None
        for count in range(self._capacity):
            packet = self._packets[(self._origin + count) % self._capacity]
            if packet is None or (packets and packet.timestamp != packets[0].timestamp):
                return None
            packets.append(packet)
            if packet.marker:
                self.remove(count + 1)
                return jitterbuffer.JitterFrame(b"".join(p._data for p in packets), packet.timestamp)
        return None

    jitterbuffer.JitterBuffer._remove_frame = remove_frame  # type: ignore[method-assign]


def camera_pictures(width: int, height: int, count: int = 16) -> list[NDArray[np.uint8]]:
    """Smooth coloured shapes that drift: (H * 3 / 2, W) I420 arrays."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    pictures = []
    for index in range(count):
        phase = 2 * np.pi * index / count
        luma = 120 + 50 * np.sin(x / 37 + phase) + 40 * np.cos(y / 29 - phase)
        rows, columns = height // 2, width // 2
        u = 128 + 60 * np.sin(x[:rows, :columns] / 23 + phase)
        v = 128 + 60 * np.cos(y[:rows, :columns] / 31)
        planes = [np.clip(plane, 16, 235).astype(np.uint8).reshape(-1) for plane in (luma, u, v)]
        pictures.append(np.concatenate(planes).reshape(height * 3 // 2, width))
    return pictures


class Camera(MediaStreamTrack):
    """Numbered pictures at a steady rate, with honest time stamps. `sent` is when each was handed over."""

    kind = "video"

    def __init__(self, width: int, height: int, fps: float, first: int = 1) -> None:
        super().__init__()
        self.sent: dict[int, float] = {}
        self._pictures = itertools.cycle(camera_pictures(width, height))
        self._fps = fps
        self._first, self._number = first, first - 1
        self._begun: float | None = None
        self.paused = False

    def resize(self, width: int, height: int) -> None:
        """From the next picture on, as when a phone is turned."""
        self._pictures = itertools.cycle(camera_pictures(width, height, 2))

    def blacken(self, width: int, height: int) -> None:
        """From the next picture on, as with a hand before the lens; the barcode stays."""
        black = np.full((height * 3 // 2, width), 128, np.uint8)
        black[:height] = 16
        self._pictures = itertools.cycle([black])

    async def recv(self) -> av.VideoFrame:
        now = time.monotonic()
        if self._begun is None:
            self._begun = now
        while True:
            self._number += 1
            due = self._begun + (self._number - self._first) / self._fps
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if self.readyState != "live":
                raise MediaStreamError
            if not self.paused:
                break
        picture = next(self._pictures).copy()
        barcode.draw(picture[: picture.shape[0] * 2 // 3], self._number)
        frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
        frame.pts, frame.time_base = round(self._number / self._fps * TICKS), Fraction(1, TICKS)
        self.sent[self._number & 0xFFFF] = time.monotonic()
        return frame


@dataclass(frozen=True)
class Received:
    at: float
    number: int | None  # of the barcode
    width: int
    height: int
    pts: int


@dataclass
class RtcClient:
    base_url: str
    width: int = 640
    height: int = 480
    fps: float = 30
    codec: str | None = None  # video/VP8, video/H264
    settings: dict[str, object] | None = None
    client_id: str | None = None
    token: str | None = None  # the server's
    conditions: Conditions | None = None  # of the network, both ways
    seed: int = 1  # of the network's chance
    address: str | None = None  # the client's own, 127.x.x.x: the server counts starts by address
    repairs: bool = False  # as the server does: asks again for what is lost, gives up, asks for key frames
    received: list[Received] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    last_frame: av.VideoFrame | None = None

    async def __aenter__(self) -> RtcClient:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def connect(self, data_channel: bool = True, audio: bool = False) -> None:
        """Raises OfferRefused."""
        self.answer = await self.post(await self.offer(data_channel, audio))
        await self.accept()

    async def offer(self, data_channel: bool = True, audio: bool = False) -> dict[str, object]:
        """What is to be posted. The first of the three steps of `connect`, for those who stop half-way."""
        release_at_marker()
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.camera = self.make_camera()
        transceiver = self.pc.addTransceiver(self.camera, "sendrecv")
        if self.codec:
            codecs = RTCRtpSender.getCapabilities("video").codecs
            transceiver.setCodecPreferences([c for c in codecs if c.mimeType in (self.codec, "video/rtx")])
        if audio:
            self.pc.addTransceiver("audio")
        self._repair: asyncio.Task[None] | None = None
        if self.repairs:
            self._repair = asyncio.create_task(VideoReceiver(transceiver.receiver).run(), name="client's loss repair")
        self._news = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None
        self.pc.on("track", self._on_track)
        self.channel = self.pc.createDataChannel("control") if data_channel else None
        if self.channel:
            self.channel.on("message", self._on_message)
        await self.pc.setLocalDescription(await self.pc.createOffer())
        self.link = Link(self.pc, self.conditions, self.seed)
        body: dict[str, object] = {"sdp": self.pc.localDescription.sdp, "type": "offer"}
        if self.settings is not None:
            body["settings"] = self.settings
        if self.client_id is not None:
            body["client_id"] = self.client_id
        return body

    def make_camera(self) -> Camera:
        return Camera(self.width, self.height, self.fps)

    async def post(self, body: dict[str, object]) -> dict[str, Any]:
        """The answer. Raises OfferRefused."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        connector = aiohttp.TCPConnector(local_addr=(self.address, 0) if self.address else None)
        async with (
            aiohttp.ClientSession(connector=connector, headers=headers) as http,
            http.post(f"{self.base_url}/offer", json=body) as response,
        ):
            answer: dict[str, Any] = await response.json()
            if response.status != 200:
                await self.close()
                raise OfferRefused(response.status, answer, dict(response.headers))
            return answer

    async def accept(self) -> None:
        """Begin to connect, as the answer says."""
        await self.pc.setRemoteDescription(RTCSessionDescription(self.answer["sdp"], "answer"))

    def swap(self, camera: Camera) -> None:
        """Another camera on the same call. The old one is not stopped: aiortc's sender may be waiting for it."""
        self.camera = camera
        self.pc.getSenders()[0].replaceTrack(camera)

    def _on_track(self, track: MediaStreamTrack) -> None:
        if track.kind == "video":
            self._reader = asyncio.ensure_future(self._read(track))

    async def _read(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                assert isinstance(frame, av.VideoFrame)
                assert frame.pts is not None
                now = time.monotonic()
                plane = frame.planes[0]
                luma = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[:, : frame.width]
                self.received.append(Received(now, barcode.read(luma), frame.width, frame.height, frame.pts))
                self.last_frame = frame
                self._news.set()

    def _on_message(self, text: str) -> None:
        self.messages.append(json.loads(text))
        self._news.set()

    def send(self, kind: str, data: object = None, message_id: str | None = None) -> None:
        message: dict[str, object] = {"type": kind}
        if data is not None:
            message["data"] = data
        if message_id is not None:
            message["id"] = message_id
        self.send_text(json.dumps(message))

    def send_text(self, text: str | bytes) -> None:
        assert self.channel
        self.channel.send(text)

    async def until(self, happened: Callable[[], bool], timeout: float = 10) -> None:
        """Wait for something to be true of what was received. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            while not happened():
                self._news.clear()
                await self._news.wait()

    async def message(self, kind: str, timeout: float = 10, **wanted: object) -> dict[str, Any]:
        """The data of the next message of that type whose fields are as wanted; it and earlier ones are used up."""

        def index() -> int | None:
            for position, message in enumerate(self.messages):
                if message["type"] == kind and all((message | message["data"]).get(k) == v for k, v in wanted.items()):
                    return position
            return None

        await self.until(lambda: index() is not None, timeout)
        position = index()
        assert position is not None
        data: dict[str, Any] = self.messages[position]["data"]
        del self.messages[: position + 1]
        return data

    async def frames(self, count: int, timeout: float = 15) -> list[Received]:
        """The next `count` frames."""
        begin = len(self.received)
        await self.until(lambda: len(self.received) >= begin + count, timeout)
        return self.received[begin:]

    def latencies(self, since: float = 0.0) -> list[float]:
        """Milliseconds from the camera to the return, of every numbered frame that came back after `since`."""
        return [
            (frame.at - self.camera.sent[frame.number]) * 1000
            for frame in self.received
            if frame.number in self.camera.sent and frame.at >= since
        ]

    async def vanish(self) -> None:
        """Gone without a word, as with a cut cable: what closing sends does not arrive."""
        self.link.cut()
        await self.close()

    async def close(self) -> None:
        self.camera.stop()
        await end(self._reader, self._repair)
        await close(self.pc)


async def close(connection: RTCPeerConnection) -> None:
    """All of it: a sender that was about to start while aiortc stopped the others goes on, else."""
    await connection.close()
    for transceiver in connection.getTransceivers():
        await transceiver.stop()


async def end(*tasks: asyncio.Task[None] | None) -> None:
    """Cancel those that there are, and wait until they have ended."""
    there = [task for task in tasks if task]
    for task in there:
        task.cancel()
    await asyncio.gather(*there, return_exceptions=True)


class OfferRefused(Exception):
    def __init__(self, status: int, problem: dict[str, Any], headers: dict[str, str]) -> None:
        super().__init__(f"{status}: {problem}")
        self.status = status
        self.problem = problem
        self.headers = headers
