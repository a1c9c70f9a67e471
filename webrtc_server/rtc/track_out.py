"""The outgoing pictures. `recv` waits for what `media/pacer.py` decides, never past its deadline, and never raises
while the session lives: one exception from it would end the session's video for good. Read by `relay.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable
from fractions import Fraction

import av
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

from webrtc_server.media.pacer import TICKS, Pacer, WaitUntil

TIME_BASE = Fraction(1, TICKS)


class PaintedTrack(MediaStreamTrack):
    kind = "video"

    def __init__(self, sent: Callable[[], None], plain: Callable[[av.VideoFrame], av.VideoFrame]) -> None:
        """`sent` is called for each frame that goes out; `plain` makes a camera frame fit to go out unpainted."""
        super().__init__()
        self._plain = plain
        self.kinds: Counter[str] = Counter()  # of frames sent: fresh, repeat, unpainted
        self._sent = sent
        self._pacer: Pacer[av.VideoFrame] = Pacer(time.monotonic())
        self._news = asyncio.Event()
        self._shown: av.VideoFrame | None = None

    @property
    def late(self) -> int:
        """Finished frames that were overtaken before the encoder took them."""
        return self._pacer.late

    def captured(self, frame: av.VideoFrame) -> None:
        self._pacer.captured(frame, ticks(frame), time.monotonic())

    def finished(self, frame: av.VideoFrame) -> None:
        self._pacer.finished(frame, ticks(frame), time.monotonic())
        self._news.set()

    def hurry(self) -> None:
        """Give the newest picture again at once."""
        self._pacer.hurry()
        self._news.set()

    async def recv(self) -> av.VideoFrame:
        """The next frame. Raises MediaStreamError once the track is stopped, as aiortc wants it, and nothing else."""
        while self.readyState == "live":
            now = time.monotonic()
            decision = self._pacer.next(now)
            if isinstance(decision, WaitUntil):
                self._news.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(decision.time - now):
                        await self._news.wait()
                continue
            self.kinds[decision.kind] += 1
            self._sent()
            frame = decision.frame
            if decision.kind == "repeat" and self._shown:  # what was sent, which is not always what the pacer was given
                frame = _again(self._shown)
            elif decision.kind == "unpainted":
                frame = self._plain(frame)
            self._shown = frame
            frame.pts, frame.time_base = decision.pts, TIME_BASE
            return frame
        raise MediaStreamError

    def stop(self) -> None:
        super().stop()
        self._news.set()


def ticks(frame: av.VideoFrame) -> int:
    """The time stamp of a frame in 1/90000 s; 0 for a frame that has none."""
    if frame.pts is None or frame.time_base is None:
        return 0
    if frame.time_base == TIME_BASE:  # as video over RTP always has: sums of fractions are slow
        return frame.pts
    return round(frame.pts * frame.time_base * TICKS)


def _again(frame: av.VideoFrame) -> av.VideoFrame:
    """A second frame object over a copy of the picture: the encoder may still hold the first and writes on it."""
    copy = av.VideoFrame(frame.width, frame.height, frame.format.name)
    for source, target in zip(frame.planes, copy.planes, strict=True):
        target.update(bytes(source))
    return copy
