"""A WHIP publisher on aiortc: sends numbered pictures and silence, hears nothing back. For tests."""

from __future__ import annotations

import aiohttp
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack

from tests.fakes.rtc_client import Camera, OfferRefused, close

SDP = {"Content-Type": "application/sdp"}


class WhipClient:
    def __init__(self, server: str, query: dict[str, str] | None = None, width: int = 320, height: int = 240) -> None:
        self._server = server
        self._query = query
        self.camera = Camera(width, height, 30)
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.answer = ""
        self.location = ""  # of the session
        self.watch = ""  # where it can be watched
        self.etag = ""

    async def __aenter__(self) -> WhipClient:
        """Raises OfferRefused."""
        self.pc.addTransceiver(AudioStreamTrack(), "sendonly")
        self.pc.addTransceiver(self.camera, "sendonly")
        await self.pc.setLocalDescription(await self.pc.createOffer())
        offer = self.pc.localDescription.sdp
        async with (
            aiohttp.ClientSession() as http,
            http.post(f"{self._server}/whip", params=self._query, data=offer, headers=SDP) as response,
        ):
            if response.status != 201:
                await self.close()
                raise OfferRefused(response.status, await response.json(), dict(response.headers))
            self.answer = await response.text()
            self.location = self._server + response.headers["Location"]
            self.etag = response.headers["ETag"]
            self.watch = str(response.links["alternate"]["url"])
        await self.pc.setRemoteDescription(RTCSessionDescription(self.answer, "answer"))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        self.camera.stop()
        await close(self.pc)
