"""What each step of a frame's way costs, one after the other in this process: decode, preprocess, paint, post, encode.

The same functions as in the server, without its hand-overs. Loads a model, so it is not for a process that serves.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction
from itertools import count

import av
import cv2
from av.video.codeccontext import VideoCodecContext

from pipeline.backend import Report
from pipeline.errors import PipelineError
from pipeline.registry import make
from pipeline.settings import Settings
from pipeline.videoframe import VideoPicture, to_video
from webrtc_server.diagnosis import scene
from webrtc_server.diagnosis.figures import Times
from webrtc_server.media.bitrate import rates
from webrtc_server.media.pacer import TICKS
from webrtc_server.rtc import encoder

STAGES = ("decode", "preprocess", "paint", "post", "encode")
WARM_UP = 5  # pictures that are not counted: codecs and models make themselves ready
TIME_BASE = Fraction(1, TICKS)


def measure(
    settings: Settings, model: str | None, seconds: float, load: Report, passed: Callable[[float], None]
) -> tuple[dict[str, Times], str]:
    """The stages' times, and the device that painted. `passed` hears of the seconds so far.

    Raises PipelineError where the pipeline cannot be loaded or does not paint.
    """
    cv2.setNumThreads(1)  # as the worker does
    film = _film()
    backend = make(settings.pipeline, model)
    backend.load(load)
    try:
        times: dict[str, list[float]] = {stage: [] for stage in STAGES}
        state, decoder = backend.new_state(settings), av.CodecContext.create("h264", "r")
        assert isinstance(decoder, VideoCodecContext)
        encoding: encoder.Encoder | None = None
        begun = time.monotonic()
        for number in count():
            marks = [time.monotonic()]
            if number > WARM_UP and marks[0] - begun >= seconds:
                break
            passed(marks[0] - begun)
            decoded = decoder.decode(av.Packet(film[number % scene.PERIOD]))
            if not decoded:
                continue
            marks.append(time.monotonic())
            frame = VideoPicture(decoded[0]).to_frame()
            marks.append(time.monotonic())
            [painted] = backend.step([(state, frame)])
            if isinstance(painted, PipelineError):
                raise painted
            marks.append(time.monotonic())
            outgoing = to_video(painted, number * TICKS // scene.FPS, TIME_BASE)
            marks.append(time.monotonic())
            if encoding is None:
                sizes = rates(outgoing.width, outgoing.height)
                encoding = encoder.make("H264", outgoing.width, outgoing.height, sizes, sizes.start)
            encoding.encode(outgoing, key=number == 0)
            marks.append(time.monotonic())
            if number >= WARM_UP:
                for stage, before, after in zip(STAGES, marks, marks[1:], strict=False):
                    times[stage].append((after - before) * 1000)
        return {stage: found for stage, taken in times.items() if (found := Times.of(taken))}, backend.device
    finally:
        backend.close()


def _film() -> list[bytes]:
    """The scene as H.264, one whole pan: its end goes on with its beginning, which is a key frame."""
    sizes = rates(scene.WIDTH, scene.HEIGHT)
    filming = encoder.H264(scene.WIDTH, scene.HEIGHT, sizes.start, sizes.ceiling)
    packets = []
    for number in range(scene.PERIOD):
        picture = scene.picture(number, light=True)
        picture.pts, picture.time_base = number * TICKS // scene.FPS, TIME_BASE
        packets.append(bytes(filming.encode(picture, key=number == 0)))
    return packets
