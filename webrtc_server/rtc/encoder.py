"""Video encoders: a picture in, one `av.Packet` out, at once. H.264 by libx264 or the GPU's encoder, VP8 by libvpx.

They are called in an executor of their own, one call at a time each, by `relay.py`; they decide nothing: which rate and
which key frames is `media/`'s business. aiortc's own encoders are not used for video that we send, only its packetizer.
"""

from __future__ import annotations

import functools
from fractions import Fraction
from typing import Literal, Protocol

import av
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from pipeline.videoframe import VideoPicture, to_video
from webrtc_server.media.bitrate import Rates
from webrtc_server.media.pacer import TICKS
from webrtc_server.observe.log import get_logger

FRAME_RATE = 30  # frames a second that levels and buffers are reckoned with; the time stamps say what really is
NO_PERIODIC_KEY_FRAMES = 1 << 30  # frames between them; more is out of the range of libx264
BUFFER_SECONDS = 0.4  # of the ceiling: a key frame may take that long on the wire; 0.2 costs 0.4 dB
WORTH_TELLING = 0.05  # of the rate: the count of frames wavers by one, and each new rate disturbs the rate control
SLOWEST = 10  # frames a second: bits for each frame rise until there, so that a slow painter's pictures are sharp
VP8_SPEED = "-6"  # libvpx's cpu-used: -7 and quicker saves a tenth of the time and costs 8 dB where the picture pans

# ITU-T H.264 table A-1: name, macroblocks a second, macroblocks a picture.
LEVELS = (("3.1", 108_000, 3_600), ("3.2", 216_000, 5_120), ("4.0", 245_760, 8_192), ("4.2", 522_240, 8_704))
HIGHEST_LEVEL = "5.1"

CodecName = Literal["H264", "VP8"]

logger = get_logger(__name__)


class Encoder(Protocol):
    """For pictures of one size. Not to be called from two threads at once."""

    name: str
    adjustable: bool  # whether `set_rate` works; else a new encoder is needed for a new rate

    def set_rate(self, bits: int, fps: float) -> None:
        """`bits` a second at `fps` frames a second from now on."""

    def encode(self, frame: av.VideoFrame, key: bool) -> av.Packet[av.VideoStream]:
        """Raises av.FFmpegError. Writes on `frame`, whose pts must rise."""


class H264:
    """Constrained baseline (RFC 6184 section 8.1), so every receiver can decode it.

    libx264 is opened with average = highest rate, which makes it obey a new `bit_rate` up to that highest one without
    a new context or a key frame. Opened in any other way it ignores one. It takes every frame for 1/FRAME_RATE of a
    second (its mode that looks at time stamps is late by one frame), so the rate it is told is scaled.
    """

    adjustable = True

    def __init__(self, width: int, height: int, rate: int, ceiling: int, name: str = "libx264") -> None:
        self.name = name
        self._size = max(2, width - width % 2), max(2, height - height % 2)  # 4:2:0 in H.264 has no odd sides
        self._told = self._highest = ceiling * FRAME_RATE // SLOWEST
        self._context = _context(name, *self._size, self._highest)
        buffer = round(ceiling * BUFFER_SECONDS)
        common = {"maxrate": str(self._highest), "bufsize": str(buffer), "forced-idr": "1"}
        common["level"] = level(*self._size)
        if name == "libx264":
            own = {"preset": "ultrafast", "tune": "zerolatency"}
            self._context.profile = "Baseline"
        else:
            own = {"preset": "p1", "tune": "ull", "zerolatency": "1", "bf": "0", "delay": "0", "rc": "cbr"}
            own["profile"] = "baseline"
        self._context.options = common | own
        self._context.open()
        self.set_rate(rate, FRAME_RATE)

    def set_rate(self, bits: int, fps: float) -> None:
        told = min(self._highest, round(bits * FRAME_RATE / max(fps, SLOWEST)))
        if abs(told - self._told) > self._told * WORTH_TELLING:
            self._told = self._context.bit_rate = told

    def encode(self, frame: av.VideoFrame, key: bool) -> av.Packet[av.VideoStream]:
        if (frame.width, frame.height) != self._size:
            frame = _even(frame)
        return _encode(self._context, frame, key)


class Vp8:
    """libvpx, real time, one token partition. It takes no new rate while it runs."""

    name = "libvpx"
    adjustable = False

    def __init__(self, width: int, height: int, rate: int) -> None:
        self._context = _context("libvpx", width, height, rate)
        self._context.qmin, self._context.qmax = 2, 56
        self._context.options = {
            "deadline": "realtime",
            "cpu-used": VP8_SPEED,
            "lag-in-frames": "0",
            "minrate": str(rate),  # lowest = highest = average: constant rate
            "maxrate": str(rate),
            "bufsize": str(rate),
            "undershoot-pct": "100",
            "overshoot-pct": "15",
            "static-thresh": "1",
            "noise-sensitivity": "0",
        }
        self._context.open()

    def set_rate(self, bits: int, fps: float) -> None:
        raise NotImplementedError

    def encode(self, frame: av.VideoFrame, key: bool) -> av.Packet[av.VideoStream]:
        return _encode(self._context, frame, key)


def make(codec: CodecName, width: int, height: int, sizes: Rates, rate: int) -> Encoder:
    """The best encoder of this machine. Raises av.FFmpegError."""
    if codec == "VP8":
        return Vp8(width, height, rate)
    if gpu_encodes():
        try:
            return H264(width, height, rate, max(rate, sizes.ceiling), "h264_nvenc")
        except av.FFmpegError as error:  # consumer cards take some eight at a time
            logger.info("the GPU takes no further encoder", error=str(error))
    return H264(width, height, rate, max(rate, sizes.ceiling))


@functools.cache
def gpu_encodes() -> bool:
    """Whether this machine's GPU encodes H.264: known only by trying, for drivers list what the card may not have."""
    frame = av.VideoFrame(256, 256, "yuv420p")
    frame.pts, frame.time_base = 0, Fraction(1, TICKS)
    try:
        H264(256, 256, 1_000_000, 1_000_000, "h264_nvenc").encode(frame, key=True)
    except (av.FFmpegError, ValueError) as error:
        logger.debug("no encoder on a GPU", error=str(error))
        return False
    return True


def level(width: int, height: int) -> str:
    """The lowest level that a picture of this size fits at FRAME_RATE, 3.1 at least: what browsers offer."""
    blocks = -(-width // 16) * -(-height // 16)
    fitting = (name for name, rate, size in LEVELS if blocks <= size and blocks * FRAME_RATE <= rate)
    return next(fitting, HIGHEST_LEVEL)


def _context(name: str, width: int, height: int, rate: int) -> VideoCodecContext:
    context = av.CodecContext.create(name, "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.framerate, context.time_base = Fraction(FRAME_RATE, 1), Fraction(1, TICKS)
    context.bit_rate, context.gop_size, context.thread_count = rate, NO_PERIODIC_KEY_FRAMES, 1
    context.color_range, context.colorspace = ColorRange.MPEG, Colorspace.ITU601
    context.color_primaries, context.color_trc = ColorPrimaries.SMPTE170M, ColorTrc.SMPTE170M
    return context


def _encode(context: VideoCodecContext, frame: av.VideoFrame, key: bool) -> av.Packet[av.VideoStream]:
    frame.pict_type = PictureType.I if key else PictureType.NONE
    packets = context.encode(frame)
    if len(packets) != 1:
        raise av.FFmpegError(0, f"{context.name} gave {len(packets)} packets for a frame")
    packet: av.Packet[av.VideoStream] = packets[0]
    return packet


def _even(frame: av.VideoFrame) -> av.VideoFrame:
    """The picture without its last odd row and column."""
    assert frame.pts is not None
    assert frame.time_base is not None
    return to_video(VideoPicture(frame).to_frame(), frame.pts, frame.time_base, multiple=2)
