"""A viewer, as a WHEP player is one: offers recvonly video, reads what comes. For tests and benchmarks."""

from __future__ import annotations

import asyncio
import contextlib
import time

import aiohttp
import av
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError

from tests.fakes.rtc_client import OfferRefused, close, end, release_at_marker


class WhepClient:
    def __init__(self, address: str, codec: str | None = None, token: str | None = None) -> None:
        """`address` is the WHEP endpoint; `codec` is like video/VP8, else all are offered."""
        self._address = address
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._codec = codec
        self._reader: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.received: list[tuple[float, int, int]] = []  # when, width, height
        self.last_frame: av.VideoFrame | None = None
        self.answer = ""
        self.headers: dict[str, str] = {}
        self.asked = 0.0

    async def __aenter__(self) -> WhepClient:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def offer(self, direction: str = "recvonly") -> str:
        transceiver = self.pc.addTransceiver("video", direction)
        if self._codec:
            codecs = RTCRtpSender.getCapabilities("video").codecs
            transceiver.setCodecPreferences([c for c in codecs if c.mimeType in (self._codec, "video/rtx")])
        await self.pc.setLocalDescription(await self.pc.createOffer())
        return str(self.pc.localDescription.sdp)

    async def connect(self) -> None:
        """Raises OfferRefused."""
        release_at_marker()
        self.pc.on("track", self._on_track)
        offer = await self.offer()
        self.asked = time.monotonic()
        async with (
            aiohttp.ClientSession() as http,
            http.post(
                self._address, data=offer, headers=self._headers | {"Content-Type": "application/sdp"}
            ) as response,
        ):
            if response.status != 201:
                await close(self.pc)
                raise OfferRefused(response.status, await response.json(), dict(response.headers))
            self.answer, self.headers = await response.text(), dict(response.headers)
        await self.pc.setRemoteDescription(RTCSessionDescription(self.answer, "answer"))

    def _on_track(self, track: MediaStreamTrack) -> None:
        self._reader = asyncio.ensure_future(self._read(track))

    async def _read(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                assert isinstance(frame, av.VideoFrame)
                self.received.append((time.monotonic(), frame.width, frame.height))
                self.last_frame = frame
                self._news.set()

    async def frames(self, count: int, timeout: float = 15) -> None:
        """The next `count` frames. Raises TimeoutError."""
        wanted = len(self.received) + count
        async with asyncio.timeout(timeout):
            while len(self.received) < wanted:
                self._news.clear()
                await self._news.wait()

    async def close(self) -> None:
        await end(self._reader)
        await close(self.pc)
