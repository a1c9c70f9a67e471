"""One stream of packets: an encoder of one codec at one rate, and what is counted about it. `relay.py` owns it.

It has an encoder made anew where size or rate demand one, in the executor and not on the event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from concurrent.futures import Executor

import av

from webrtc_server.media.bitrate import Meter, Rates, worth_rebuilding
from webrtc_server.observe.histogram import Histogram, StageTimes
from webrtc_server.rtc import encoder as encoders
from webrtc_server.rtc.encoder import FRAME_RATE, CodecName, Encoder

FULL_SECOND = 1.0  # second of frames after which their number is a frame rate


class Stream:
    def __init__(self, codec: CodecName, executor: Executor, times: Histogram | None = None) -> None:
        """`times` counts how long encoding took; several streams may share it that encode one after the other."""
        self.codec = codec
        self.target = 0  # bits a second asked for with the last frame
        self.rebuilds = 0  # encoders made after the first
        self.frames: Counter[str] = Counter()  # encoded, by the name of the encoder
        self.key_frames = 0
        self.times = StageTimes(times)  # of encoding
        self.bits = Meter()
        self._ticks = Meter()
        self._executor = executor
        self._encoder: Encoder | None = None
        self._size = (0, 0)
        self._rate = 0  # bits a second that the encoder was last told
        self._made = 0.0
        self._begun: float | None = None

    async def encode(self, frame: av.VideoFrame, key: bool, sizes: Rates, target: int) -> av.Packet[av.VideoStream]:
        """The frame as a packet; a key frame if `key`, or if there had to be a new encoder. Raises av.FFmpegError."""
        now = time.monotonic()
        if self._begun is None:
            self._begun = now
        self._ticks.add(1, now)
        self.target = target
        loop = asyncio.get_running_loop()
        packet = await loop.run_in_executor(self._executor, self._work, frame, key, sizes, target, now)
        self.bits.add(packet.size, now)
        self.key_frames += packet.is_keyframe
        return packet

    def _work(
        self, frame: av.VideoFrame, key: bool, sizes: Rates, target: int, now: float
    ) -> av.Packet[av.VideoStream]:
        begun = time.monotonic()
        encoder = self._fitting(frame, sizes, target, now)
        try:
            packet = encoder.encode(frame, key)
        except av.FFmpegError:
            self._encoder = None  # the next frame gets a new one
            raise
        self.frames[encoder.name] += 1
        self.times.add((time.monotonic() - begun) * 1000)
        return packet

    def _fitting(self, frame: av.VideoFrame, sizes: Rates, target: int, now: float) -> Encoder:
        """The encoder for this size and rate: the running one, adjusted, or a new one."""
        size = frame.width, frame.height
        encoder = self._encoder
        if encoder is not None and size == self._size:
            if encoder.adjustable:
                encoder.set_rate(target, self._frame_rate(now))
                return encoder
            if not worth_rebuilding(self._rate, target, now - self._made):
                return encoder
        self.rebuilds += self._made > 0
        self._encoder = encoders.make(self.codec, *size, sizes, target)
        self._size, self._rate, self._made = size, target, now
        return self._encoder

    def _frame_rate(self, now: float) -> float:
        assert self._begun is not None
        return self._ticks.rate(now) / 8 if now - self._begun >= FULL_SECOND else FRAME_RATE
