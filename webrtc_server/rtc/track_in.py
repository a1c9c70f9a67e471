"""Drains a track for ever. aiortc queues what nobody reads without bound, so every accepted track has one of these."""

from __future__ import annotations

from collections.abc import Callable

import av
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError


async def drain_video(track: MediaStreamTrack, put: Callable[[av.VideoFrame], None]) -> None:
    """Give every frame to `put`, as soon as it is decoded, until the track ends."""
    try:
        while True:
            frame = await track.recv()
            if isinstance(frame, av.VideoFrame):
                put(frame)
    except MediaStreamError:
        pass


async def discard(track: MediaStreamTrack) -> None:
    """Read and forget, until the track ends."""
    try:
        while True:
            await track.recv()
    except MediaStreamError:
        pass
