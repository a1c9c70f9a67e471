"""`av.VideoFrame` to a picture for the worker, and a painted `Frame` to `av.VideoFrame`.

WebRTC video is I420 with BT.601 limited range unless it says otherwise. The planes of an `av.VideoFrame` have padded
lines, so a copy each way is needed; it costs some 0.1 ms at 640x480.
"""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange, Colorspace

from pipeline.frame import Frame, PixelFormat, Pixels, frame_bytes
from pipeline.geometry import Box, place, resize
from pipeline.settings import Settings

BLACK = (16, 128, 128)  # Y, U, V in limited range


class VideoPicture:
    """A decoded frame as the worker's `Picture`; conversion to plain I420 happens only if it is something else."""

    format = PixelFormat.I420

    def __init__(self, frame: av.VideoFrame, arrived: float = 0.0) -> None:
        """`arrived` is when it was decoded, in seconds of the monotonic clock."""
        self.frame = frame
        self.width = frame.width
        self.height = frame.height
        self.arrived = arrived

    def write_into(self, frame: Frame) -> None:
        source = self.frame
        is_hd = source.colorspace == Colorspace.ITU709  # Chromium says so of canvases, and means it
        if is_hd or source.format.name != "yuv420p" or source.color_range == ColorRange.JPEG:
            source = source.reformat(
                format="yuv420p",
                src_colorspace=Colorspace.ITU709 if is_hd else None,
                dst_colorspace=Colorspace.ITU601,
                dst_color_range=ColorRange.MPEG,
            )
        for plane, target in zip(source.planes, frame.planes, strict=True):
            rows = _rows(plane)
            np.copyto(target, rows[: target.shape[0], : target.shape[1]])

    def to_frame(self) -> Frame:
        """The picture in memory of its own."""
        size = frame_bytes(self.width, self.height, PixelFormat.I420)
        frame = Frame(np.empty(size, np.uint8), self.width, self.height, PixelFormat.I420)
        self.write_into(frame)
        return frame


def to_video(frame: Frame, pts: int, time_base: Fraction, multiple: int = 1) -> av.VideoFrame:
    """A copy of `frame` with the time stamp given, cut to sides that are multiples of `multiple` (H.264 has no odd)."""
    width, height = (max(multiple, side - side % multiple) for side in (frame.width, frame.height))
    video = av.VideoFrame(width, height, "yuv420p")
    for plane, source in zip(video.planes, frame.convert(PixelFormat.I420).planes, strict=True):
        rows, columns = min(plane.height, source.shape[0]), min(plane.width, source.shape[1])
        np.copyto(_rows(plane)[:rows, :columns], source[:rows, :columns])
    video.pts, video.time_base = pts, time_base
    return video


def _rows(plane: VideoPlane) -> Pixels:
    """The plane as (rows, padded line) uint8, over its own memory."""
    return np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)


def unpainted(picture: VideoPicture, settings: Settings) -> Frame:
    """The camera picture at the size of the painted one, so that a viewer sees no jump between the two.

    Works plane by plane, without a way through RGB: it runs on the event loop, a millisecond at 1080p.
    """
    camera = picture.to_frame()
    if settings.pipeline == "identity":
        return camera
    width, height = settings.width, settings.height
    placement = place((camera.width, camera.height), (width, height), settings.fit)
    shown = Frame(np.empty(frame_bytes(width, height, PixelFormat.I420), np.uint8), width, height, PixelFormat.I420)
    for source, target, black, scale in zip(camera.planes, shown.planes, BLACK, (1, 2, 2), strict=True):
        target[:] = black
        inside = _part(placement.target, scale).cut(target)
        np.copyto(inside, resize(_part(placement.source, scale).cut(source), inside.shape[1], inside.shape[0]))
    return shown


def _part(box: Box, scale: int) -> Box:
    """The box on a plane that is `scale` times smaller, never empty."""
    return Box(box.left // scale, box.top // scale, max(1, box.width // scale), max(1, box.height // scale))
