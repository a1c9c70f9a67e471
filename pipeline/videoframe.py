"""`av.VideoFrame` to a picture for the worker, and a painted `Frame` to `av.VideoFrame`.

WebRTC video is I420 with BT.601 limited range unless it says otherwise. The planes of an `av.VideoFrame` have padded
lines, so a copy each way is needed; it costs some 0.1 ms at 640x480.
"""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange

from pipeline.frame import Frame, PixelFormat, Pixels, frame_bytes
from pipeline.geometry import fit
from pipeline.settings import Settings


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
        if source.format.name != "yuv420p" or source.color_range == ColorRange.JPEG:
            source = source.reformat(format="yuv420p", dst_color_range=ColorRange.MPEG)
        for plane, target in zip(source.planes, frame.planes, strict=True):
            rows = _rows(plane)
            np.copyto(target, rows[: target.shape[0], : target.shape[1]])

    def to_frame(self) -> Frame:
        """The picture in memory of its own."""
        size = frame_bytes(self.width, self.height, PixelFormat.I420)
        frame = Frame(np.empty(size, np.uint8), self.width, self.height, PixelFormat.I420)
        self.write_into(frame)
        return frame


def to_video(frame: Frame, pts: int, time_base: Fraction) -> av.VideoFrame:
    """A copy of `frame` with the time stamp given."""
    video = av.VideoFrame(frame.width, frame.height, "yuv420p")
    for plane, source in zip(video.planes, frame.convert(PixelFormat.I420).planes, strict=True):
        rows = _rows(plane)
        np.copyto(rows[: source.shape[0], : source.shape[1]], source)
    video.pts, video.time_base = pts, time_base
    return video


def _rows(plane: VideoPlane) -> Pixels:
    """The plane as (rows, padded line) uint8, over its own memory."""
    return np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)


def unpainted(picture: VideoPicture, settings: Settings) -> Frame:
    """The camera picture at the size of the painted one, so that a viewer sees no jump between the two."""
    if settings.pipeline == "identity":
        return picture.to_frame()
    return Frame.from_rgb(fit(picture.to_frame().rgb(), settings.width, settings.height, settings.fit))
