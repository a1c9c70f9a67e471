"""The outgoing track over camera frames as decoders make them, with padded lines."""

from __future__ import annotations

from fractions import Fraction

import av
import pytest

from webrtc_server.rtc.track_out import TIME_BASE, PaintedTrack


def decoded(width: int, height: int) -> av.VideoFrame:
    """A frame in a decoder's own memory: its lines are longer than the picture is wide."""
    encoder, decoder = av.CodecContext.create("libx264", "w"), av.CodecContext.create("h264", "r")
    assert isinstance(encoder, av.VideoCodecContext)
    assert isinstance(decoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base = Fraction(1, 30)
    packets = [*encoder.encode(av.VideoFrame(width, height, "yuv420p")), *encoder.encode(None)]
    frame = next(frame for packet in [*packets, None] for frame in decoder.decode(packet))
    frame.pts, frame.time_base = 0, TIME_BASE
    return frame


async def test_camera_frame_shown_unpainted_is_repeated_as_it_was_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webrtc_server.media.pacer.STALL_AFTER", 0.02)
    camera = decoded(322, 242)
    assert camera.planes[0].line_size > camera.width
    track = PaintedTrack(lambda: None, lambda frame: av.VideoFrame(512, 512, "yuv420p"))
    track.captured(camera)
    frames = [await track.recv() for _ in range(3)]
    assert track.kinds == {"unpainted": 1, "repeat": 2}
    assert [frame.width for frame in frames] == [512] * 3
    assert len({id(frame) for frame in frames}) == 3
    track.stop()
