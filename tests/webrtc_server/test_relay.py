"""A session's broadcast with tracks read by hand: joins, repairs, narrow links, new sizes, failures, the end."""

from __future__ import annotations

import asyncio
import gc
import itertools
import time
import weakref
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import av
import pytest
from aiortc.mediastreams import MediaStreamError

from tests.fakes.rtc_client import camera_pictures
from webrtc_server.media.bitrate import FLOOR, LOW_RUNG_BELOW
from webrtc_server.rtc import encoder
from webrtc_server.rtc.relay import Broadcast, PacketTrack, Sending
from webrtc_server.rtc.track_out import TIME_BASE, PaintedTrack


class Stage:
    """Paints a frame whenever told to, and reads tracks."""

    def __init__(self, executor: ThreadPoolExecutor) -> None:
        self.source = PaintedTrack(lambda: None, lambda frame: frame)
        self.video = Broadcast(self.source, Sending(executor))
        self.number = itertools.count()
        self.pictures = {size: camera_pictures(*size) for size in ((160, 120), (320, 240))}

    def paint(self, width: int = 160, height: int = 120) -> None:
        number = next(self.number)
        picture = self.pictures[width, height][number % 16]
        frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
        frame.pts, frame.time_base = number * 3000, TIME_BASE
        self.source.finished(frame)

    async def keys(self, track: PacketTrack, frames: int, width: int = 160, height: int = 120) -> list[bool]:
        """Which of the next `frames` packets are key frames."""
        keys = []
        for _ in range(frames):
            self.paint(width, height)
            keys.append((await asyncio.wait_for(track.recv(), 5)).is_keyframe)
            await asyncio.sleep(0.01)
        return keys


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    executor = ThreadPoolExecutor(2)
    made = Stage(executor)
    yield made
    made.source.stop()
    await made.video.close()
    executor.shutdown()


async def test_first_packet_is_a_key_frame_and_repairs_share_spaced_ones(stage: Stage) -> None:
    track = stage.video.track(owner=True)
    assert await stage.keys(track, 5) == [True, False, False, False, False]
    for _ in range(20):
        track.picture_lost()
    assert not any(await stage.keys(track, 5))  # half a second has not passed
    await asyncio.sleep(0.5)
    assert await stage.keys(track, 5) == [True, False, False, False, False]
    figures = stage.video.figures()
    assert (figures["picture_lost"], figures["key_frames"], figures["encoder_rebuilds"]) == (20, 2, 0)


async def test_join_and_repair_of_a_still_picture_do_not_wait_for_a_fresh_one(stage: Stage) -> None:
    first = stage.video.track(owner=True)
    await stage.keys(first, 2)
    second = stage.video.track()
    begun = time.monotonic()
    assert (await asyncio.wait_for(second.recv(), 5)).is_keyframe
    assert time.monotonic() - begun < 0.3  # a repeat comes by itself after half a second only
    second.picture_lost()
    begun = time.monotonic()
    while not (await asyncio.wait_for(second.recv(), 5)).is_keyframe:
        pass
    assert time.monotonic() - begun < 0.7


async def test_rate_falls_with_the_owners_link_without_a_new_encoder_for_h264(stage: Stage) -> None:
    track = stage.video.track(owner=True)
    await stage.keys(track, 5)
    track.sent.add(100_000, time.monotonic() - 1.5)  # it has gone on for a while
    for _ in range(10):
        track.estimated(1)
        await stage.keys(track, 1)
    figures = stage.video.figures()
    assert (figures["target_bits"], figures["encoder_rebuilds"], figures["key_frames"]) == (FLOOR, 0, 1)


async def test_viewer_with_a_narrow_link_gets_the_low_rung_and_others_keep_the_full_one(stage: Stage) -> None:
    owner, wide, narrow = stage.video.track(owner=True), stage.video.track(), stage.video.track()
    first = [asyncio.ensure_future(track.recv()) for track in (owner, wide, narrow)]
    stage.paint(320, 240)
    await asyncio.gather(*first)
    full = stage.video.figures()["target_bits"]
    assert full
    narrow.lost(0.9)  # a receiver report: nine of ten packets did not come
    stage.paint(320, 240)
    packets = [await asyncio.wait_for(track.recv(), 5) for track in (owner, wide, narrow)]
    assert [packet.is_keyframe for packet in packets] == [False, False, True]
    assert (owner.rung, wide.rung, narrow.rung) == ("full", "full", "low")
    assert stage.video.figures()["target_bits"] == full
    assert narrow.link.target(0.0) < full * LOW_RUNG_BELOW


async def test_new_size_is_a_new_encoder_and_a_key_frame(stage: Stage) -> None:
    track = stage.video.track(owner=True)
    await stage.keys(track, 3)
    assert await stage.keys(track, 3, 320, 240) == [True, False, False]
    assert stage.video.figures()["encoder_rebuilds"] == 1


@pytest.mark.logs_errors("could not be encoded")
async def test_frame_that_cannot_be_encoded_is_lost_and_no_more(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    track = stage.video.track(owner=True)
    await stage.keys(track, 2)

    def broken(self: encoder.H264, frame: av.VideoFrame, key: bool) -> av.Packet[av.VideoStream]:
        raise av.FFmpegError(0, "broken")

    with monkeypatch.context() as patch:
        patch.setattr(encoder.H264, "encode", broken)
        stage.paint()
        await asyncio.sleep(0.1)
    assert stage.video.figures()["encode_failed"] == 1
    assert await stage.keys(track, 3) == [True, False, False]


async def test_nothing_is_encoded_while_nobody_watches(stage: Stage) -> None:
    track = stage.video.track()
    await stage.keys(track, 3)
    track.stop()
    for _ in range(5):
        stage.paint()
        await asyncio.sleep(0.01)
    encoded = stage.video.figures()["frames_encoded"]
    assert encoded
    assert encoded <= 4  # one may have been under way
    assert stage.source.kinds.total() <= 4
    assert await stage.keys(stage.video.track(), 2) == [True, False]


async def test_close_ends_every_track_those_that_never_joined_too(stage: Stage) -> None:
    joined, waiting = stage.video.track(), stage.video.track()
    await stage.keys(joined, 1)
    reading = asyncio.ensure_future(joined.recv())
    await asyncio.sleep(0)
    await stage.video.close()
    for recv in (reading, waiting.recv()):
        with pytest.raises(MediaStreamError):
            await recv
    assert waiting.readyState == "ended"


async def test_an_encoder_is_freed_with_its_broadcast_not_with_the_next_garbage(stage: Stage) -> None:
    """It holds megabytes outside of Python, which never make a collection due."""
    await stage.keys(stage.video.track(owner=True), 2)
    (stream,) = stage.video._streams.values()
    assert stream._encoder
    freed = weakref.ref(stream._encoder)
    del stream
    gc.disable()
    try:
        await stage.video.close()
        assert freed() is None
    finally:
        gc.enable()
