"""One measured client of `bench.media`, in a process of its own: sends numbered pictures, and times their return.

The same for every server, and as good as a browser, so that the server's part is what differs: its own encoder is this
project's, at a rate where its loss is small, and gives key frames that are asked for; its receiver is this project's
too, which gives a picture out at the marker bit and repairs losses. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from fractions import Fraction
from itertools import pairwise

import aiohttp
import av
import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from numpy.typing import NDArray

from pipeline.policy.timing import Timings
from tests.fakes import barcode
from tests.fakes.loss import LossyPath
from tests.fakes.rtc_client import end
from tests.fakes.whep_client import WhepClient
from webrtc_server.media.bitrate import rates
from webrtc_server.media.keyframes import KeyFrames
from webrtc_server.protocol.sdp_guard import codec
from webrtc_server.rtc import feedback
from webrtc_server.rtc.encoder import make
from webrtc_server.rtc.receiver import VideoReceiver
from webrtc_server.rtc.relay import codec_name

FPS = 30
TICKS = 90_000
PICTURES = 60
UPLINK = 2.5  # times the rate that the server sends with
WARM_UP = 2.0  # seconds that are not measured
FROZEN = 0.2  # seconds without a new picture that a viewer sees as a freeze
KEPT = 20  # returned pictures whose quality is measured


@dataclass
class Measured:
    codec: str
    fps: float
    p50: float | None  # milliseconds from the client's encoder to the decoded return
    p95: float | None
    psnr: float | None  # of the returned picture against the one given to the encoder, dB
    kbps: float  # received
    first: float | None  # milliseconds from POST to the first decoded picture
    frozen: float  # seconds in gaps over FROZEN
    longest: float  # seconds
    size: str


def pictures(width: int, height: int) -> list[NDArray[np.uint8]]:
    """A texture with the spectrum of photographs (1/f) that pans, a disc that circles, sensor noise. I420 arrays."""
    random_state = np.random.default_rng(1)
    frequency = np.fft.fftfreq(1024)
    amplitude = 1 / np.maximum(np.hypot(*np.meshgrid(frequency, frequency)), 1 / 1024)
    texture = np.real(np.fft.ifft2(amplitude * np.exp(2j * np.pi * random_state.random((1024, 1024)))))
    texture = (texture - texture.min()) / (texture.max() - texture.min()) * 200 + 20
    y, x = np.mgrid[:height, :width]
    made = []
    for index in range(PICTURES):
        shift = min(index, PICTURES - index)  # there and back, for a jump would be a new scene
        luma = np.tile(np.roll(texture, (shift, 2 * shift), (0, 1)), (2, 2))[:height, :width].copy()
        angle = 2 * np.pi * index / PICTURES
        disc = np.hypot(x - width * (0.5 + 0.3 * np.cos(angle)), y - height * (0.5 + 0.3 * np.sin(angle))) < height / 8
        luma[disc] = 200
        luma += random_state.normal(0, 2, luma.shape)
        picture = np.full((height * 3 // 2, width), 128, np.uint8)
        picture[:height] = np.clip(luma, 16, 235)
        made.append(picture)
    return made


class Camera(MediaStreamTrack):
    """Gives encoded pictures. `sent`: number to the time it was handed to the encoder."""

    kind = "video"

    def __init__(self, width: int, height: int, rate: int | None) -> None:
        super().__init__()
        self.codec = "VP8"
        self._rate = rate or round(rates(width, height).start * UPLINK)
        self.sent: dict[int, float] = {}
        self._size = width, height
        self._pictures = pictures(width, height)
        self._executor = ThreadPoolExecutor(1)
        self._number = -1
        self._begun: float | None = None
        self._key_frames = KeyFrames()

    # rtc.feedback.Feedback

    def picture_lost(self) -> None:
        self._key_frames.wish("repair", time.monotonic())

    def estimated(self, bits: int) -> None:
        pass  # the rate is the benchmark's

    def lost(self, fraction: float) -> None:
        pass

    def picture(self, number: int) -> NDArray[np.uint8]:
        picture = self._pictures[number % PICTURES].copy()
        barcode.draw(picture[: self._size[1]], number)
        return picture

    async def recv(self) -> av.Packet[av.VideoStream]:
        if self._begun is None:
            self._begun = time.monotonic()
            self._encoder = make(codec_name(self.codec), *self._size, rates(*self._size), self._rate)
        self._number += 1
        await asyncio.sleep(max(0.0, self._begun + self._number / FPS - time.monotonic()))
        if self.readyState != "live":
            raise MediaStreamError
        frame = av.VideoFrame.from_ndarray(self.picture(self._number), format="yuv420p")
        frame.pts, frame.time_base = self._number * TICKS // FPS, Fraction(1, TICKS)
        self.sent[self._number] = time.monotonic()
        key = self._key_frames.take(time.monotonic())
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._encoder.encode, frame, key)

    def stop(self) -> None:
        super().stop()
        self._executor.shutdown(wait=False)


class Client:
    def __init__(self, url: str, width: int, height: int, rate: int | None) -> None:
        self._url = url
        self.camera = Camera(width, height, rate)
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        transceiver = self.pc.addTransceiver(self.camera, "sendrecv")
        feedback.listen(transceiver.sender, self.camera)
        self._receiver = VideoReceiver(transceiver.receiver)
        self._repair: asyncio.Task[None] | None = None
        self.pc.createDataChannel("control")  # fastrtc does not begin without one
        self.path = LossyPath(transceiver.sender)
        self.returned: list[tuple[float, int | None, str]] = []
        self.kept: list[tuple[int, NDArray[np.uint8]]] = []
        self.asked = 0.0
        self.view_id = ""
        self._reader: asyncio.Task[None] | None = None
        self._rng = random.Random(1)

    async def connect(self) -> None:
        self._repair = asyncio.create_task(self._receiver.run())
        self.pc.on("track", self._on_track)
        await self.pc.setLocalDescription(await self.pc.createOffer())
        body = {"sdp": self.pc.localDescription.sdp, "type": "offer"}
        if self._url.endswith("/webrtc"):  # fastrtc's own
            body["webrtc_id"] = "bench"
        self.asked = time.monotonic()
        async with aiohttp.ClientSession() as http, http.post(f"{self._url}/offer", json=body) as response:
            answer = await response.json()
        self.view_id = answer.get("view_id", "")
        self.camera.codec = codec(answer["sdp"], "0")
        await self.pc.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))

    def _on_track(self, track: MediaStreamTrack) -> None:
        self._reader = asyncio.ensure_future(self._read(track))

    async def _read(self, track: MediaStreamTrack) -> None:
        while True:
            frame = await track.recv()
            assert isinstance(frame, av.VideoFrame)
            now = time.monotonic()
            plane = frame.planes[0]
            luma = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[:, : frame.width]
            number = barcode.read(luma)
            self.returned.append((now, number, f"{frame.width}x{frame.height}"))
            if number is not None and now - self.asked > WARM_UP and self._rng.random() < 0.1 and len(self.kept) < KEPT:
                self.kept.append((number, frame.to_ndarray(format="yuv420p").astype(np.uint8)))

    async def received_bytes(self) -> int:
        report = await self.pc.getStats()
        return sum(entry.bytesReceived for entry in report.values() if entry.type == "transport")

    def measured(self, begin: float, end: float, received: int) -> Measured:
        window = [(at, number) for at, number, _ in self.returned if begin <= at <= end]
        new, newest = [begin], -1
        latency = Timings(100_000)
        for at, number in window:
            if number is not None and number in self.camera.sent:
                latency.add((at - self.camera.sent[number]) * 1000)
                if number > newest:
                    newest = number
                    new.append(at)
        gaps = [b - a for a, b in pairwise([*new, end])]
        return Measured(
            codec=self.camera.codec,
            fps=(len(new) - 1) / (end - begin),
            p50=latency.percentile(50),
            p95=latency.percentile(95),
            psnr=self._psnr(),
            kbps=received * 8 / (end - begin) / 1000,
            first=(self.returned[0][0] - self.asked) * 1000 if self.returned else None,
            frozen=sum(gap for gap in gaps if gap > FROZEN),
            longest=max(gaps),
            size=self.returned[-1][2] if self.returned else "",
        )

    def _psnr(self) -> float | None:
        errors = []
        for number, shown in self.kept:
            given = self.camera.picture(number)
            if given.shape == shown.shape:
                errors.append(float(((given.astype(float) - shown) ** 2).mean()))
        return 10 * float(np.log10(255**2 / np.mean(errors))) if errors else None

    async def close(self) -> None:
        self.camera.stop()
        await end(self._reader, self._repair)
        await self.pc.close()


async def main(options: argparse.Namespace) -> None:
    width, height = options.size
    client = Client(options.url, width, height, options.uplink and options.uplink * 1000)
    viewers: list[WhepClient] = []
    try:
        await client.connect()
        for _ in range(options.viewers):
            viewers.append(WhepClient(f"{options.url}/whep/{client.view_id}"))
            await viewers[-1].connect()
        await asyncio.sleep(max(0.0, client.asked + WARM_UP - time.monotonic()))
        client.path.percent = options.loss
        if options.hole:
            client.path.lose_for_good()
        print("measuring", flush=True)
        begin, before = time.monotonic(), await client.received_bytes()
        seen = [len(viewer.received) for viewer in viewers]
        await asyncio.sleep(options.seconds)
        print("measured", flush=True)
        end, after = time.monotonic(), await client.received_bytes()
        rows = asdict(client.measured(begin, end, after - before))
        rows["viewer_fps"] = [
            (len(viewer.received) - count) / (end - begin) for viewer, count in zip(viewers, seen, strict=True)
        ]
        print(json.dumps(rows), flush=True)
    finally:
        await asyncio.gather(*(viewer.close() for viewer in viewers))
        await client.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("size", type=lambda text: tuple(map(int, text.split("x"))))
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--uplink", type=int, help="kbit/s")
    parser.add_argument("--loss", type=float, default=0)
    parser.add_argument("--hole", action="store_true")
    parser.add_argument("--viewers", type=int, default=0)
    asyncio.run(main(parser.parse_args()))
