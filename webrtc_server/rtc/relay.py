"""A session's outgoing video: encoded once for each codec in use, and packets of it for everyone who watches.

The session's own peer is one of them. What each gets is decided in `media/fanout.py`, at what rate in
`media/bitrate.py`. While nobody watches, nothing is encoded.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import dataclass

import av
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

from webrtc_server.media.bitrate import BitrateControl, Meter, Rates, rates
from webrtc_server.media.fanout import Fanout, Rung, rung
from webrtc_server.observe.histogram import Histogram
from webrtc_server.observe.log import get_logger
from webrtc_server.rtc.encoder import CodecName
from webrtc_server.rtc.stream import Stream
from webrtc_server.rtc.track_out import PaintedTrack

logger = get_logger(__name__)


@dataclass(frozen=True)
class Sending:
    """What all sessions send with: where to encode, and the most bits a second (None: what the size needs)."""

    executor: Executor
    ceiling: int | None = None


class PacketTrack(MediaStreamTrack):
    """One viewer's track: packets instead of frames, which aiortc's sender only cuts up and sends.

    It joins when the sender first asks, which is when the connection stands. Hears what the receiver says of it.
    """

    kind = "video"

    def __init__(self, broadcast: Broadcast, owner: bool) -> None:
        super().__init__()
        self.owner = owner
        self.codec: CodecName = "H264"  # what was negotiated: to be set before the connection stands
        self.rung: Rung = "full"
        self.link = BitrateControl(time.monotonic())
        self.sent = Meter()
        self.dropped = 0
        self._broadcast = broadcast
        self._queue: deque[av.Packet[av.VideoStream]] = deque()  # bounded by `media.fanout.QUEUE`
        self._news = asyncio.Event()
        self._joined = False

    @property
    def queued(self) -> int:
        return len(self._queue)

    def put(self, packet: av.Packet[av.VideoStream]) -> None:
        self._queue.append(packet)
        self._news.set()

    def clear(self) -> None:
        self.dropped += len(self._queue)
        self._queue.clear()

    async def recv(self) -> av.Packet[av.VideoStream]:
        """The next packet. Raises MediaStreamError once the track is stopped."""
        if not self._joined and self.readyState == "live":
            self._joined = True
            self._broadcast.join(self)
        while self.readyState == "live":
            if self._queue:
                packet = self._queue.popleft()
                self.sent.add(packet.size, time.monotonic())
                return packet
            self._news.clear()
            await self._news.wait()
        raise MediaStreamError

    def stop(self) -> None:
        super().stop()
        self._broadcast.leave(self)
        self._queue.clear()
        self._news.set()

    # rtc.feedback.Feedback

    def picture_lost(self) -> None:
        self._broadcast.repair(self)

    def estimated(self, bits: int) -> None:
        now = time.monotonic()
        self.link.estimated(bits, self.sent.steady(now), now)

    def lost(self, fraction: float) -> None:
        self.link.lost(fraction, time.monotonic())


class Broadcast:
    """Reads `source`, encodes, deals out. Begins with the first viewer, ends with `close`."""

    def __init__(self, source: PaintedTrack, sending: Sending) -> None:
        self._source = source
        self._sending = sending
        self._streams: dict[tuple[CodecName, Rung], Stream] = {}
        self._fanouts: dict[tuple[CodecName, Rung], Fanout[PacketTrack]] = {}
        self._handed: set[PacketTrack] = set()  # all tracks that have not ended
        self._tracks: set[PacketTrack] = set()  # those of them that have joined
        self._counts: Counter[str] = Counter(picture_lost=0, encode_failed=0, viewer_frames_dropped=0)
        self._sizes: Rates | None = None
        self._size = (0, 0)
        self._watched = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._hurry: asyncio.TimerHandle | None = None
        self.encode_times = Histogram()  # of all streams, which encode one after the other
        self.closed = False

    def track(self, owner: bool = False) -> PacketTrack:
        """A new viewer's track; the session's own peer is the `owner`, whose link sets the rate."""
        track = PacketTrack(self, owner)
        self._handed.add(track)
        return track

    # Viewers' comings and goings, from their tracks

    def join(self, track: PacketTrack) -> None:
        if self._sizes:
            track.link.size(self._sizes)
        self._tracks.add(track)
        self._fanout(track).join(track, time.monotonic())
        self._hurry_for(self._fanout(track))
        self._watched.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="encode video")

    def leave(self, track: PacketTrack) -> None:
        self._handed.discard(track)
        if track not in self._tracks:
            return
        self._tracks.discard(track)
        self._counts["viewer_frames_dropped"] += track.dropped
        self._fanout(track).leave(track)
        if not self._tracks:
            self._watched.clear()

    def repair(self, track: PacketTrack) -> None:
        self._counts["picture_lost"] += 1
        if track in self._tracks:
            self._fanout(track).repair(track, time.monotonic())
            self._hurry_for(self._fanout(track))

    def _hurry_for(self, fanout: Fanout[PacketTrack]) -> None:
        """A key frame that is wished for goes out when it is due, also while no fresh picture comes."""
        if self._hurry:
            self._hurry.cancel()
        due = fanout.key_frames.due
        if due is not None:
            loop = asyncio.get_running_loop()
            self._hurry = loop.call_later(max(0.0, due - time.monotonic()), self._hurry_if_due, fanout)

    def _hurry_if_due(self, fanout: Fanout[PacketTrack]) -> None:
        if fanout.key_frames.due is not None:  # else a fresh picture came first
            self._source.hurry()

    def _fanout(self, track: PacketTrack) -> Fanout[PacketTrack]:
        return self._fanouts.setdefault((track.codec, track.rung), Fanout())

    # The way of a frame

    async def _run(self) -> None:
        try:
            while True:
                await self._watched.wait()
                await self._broadcast(await self._source.recv())
        except MediaStreamError:
            self._end_tracks()

    async def _broadcast(self, frame: av.VideoFrame) -> None:
        if (frame.width, frame.height) != self._size:
            self._size = frame.width, frame.height
            self._sizes = rates(*self._size, self._sending.ceiling)
            for track in self._tracks:
                track.link.size(self._sizes)
        now = time.monotonic()
        self._assign_rungs(now)
        used = [(key, fanout.viewers) for key, fanout in self._fanouts.items() if fanout.viewers]
        for (codec, step), viewers in sorted(used, key=lambda entry: not _owned(entry[1])):  # the owner waits for none
            await self._encode(codec, step, viewers, frame)

    async def _encode(self, codec: CodecName, step: Rung, viewers: Iterable[PacketTrack], frame: av.VideoFrame) -> None:
        assert self._sizes
        stream = self._streams.get((codec, step))
        if stream is None:
            stream = self._streams[codec, step] = Stream(codec, self._sending.executor, self.encode_times)
        fanout = self._fanouts[codec, step]
        key = fanout.key_frames.take(time.monotonic())
        try:
            packet = await stream.encode(frame, key, self._sizes, _target(step, viewers, time.monotonic()))
        except av.FFmpegError as error:
            self._counts["encode_failed"] += 1
            if self._counts["encode_failed"] == 1:
                logger.error("video could not be encoded", codec=codec, error=str(error))
            return
        now = time.monotonic()
        if packet.is_keyframe and not key:
            fanout.key_frames.sent(now)
        deal = fanout.deal(packet.is_keyframe, {track: track.queued for track in fanout.viewers}, now)
        for track in deal.clear:
            track.clear()
        for track in deal.give:
            track.put(packet)

    def _assign_rungs(self, now: float) -> None:
        """A viewer whose link is too narrow for the full stream moves to the low one, and back when it has widened."""
        for track in self._tracks:
            full = self._streams.get((track.codec, "full"))
            if track.owner or full is None:  # the owner's link is what the full rate follows
                continue
            step = rung(track.rung, track.link.target(now), full.target)
            if step != track.rung:
                self._fanout(track).leave(track)
                track.rung = step
                self._fanout(track).join(track, now)

    def figures(self) -> dict[str, float | None]:
        """Counters of all streams; rates and times of the one that the owner sees, or the first."""
        numbers: dict[str, float | None] = {name: float(count) for name, count in self._counts.items()}
        numbers["viewers"] = float(sum(not track.owner for track in self._tracks))
        numbers["viewer_frames_dropped"] = self._counts["viewer_frames_dropped"] + sum(
            float(track.dropped) for track in self._tracks
        )
        numbers["frames_encoded"] = float(sum(stream.frames.total() for stream in self._streams.values()))
        numbers["key_frames"] = float(sum(stream.key_frames for stream in self._streams.values()))
        numbers["encoder_rebuilds"] = float(sum(stream.rebuilds for stream in self._streams.values()))
        for stream in self._streams.values():
            for name, count in stream.frames.items():
                numbers[f"frames_by_{name}"] = (numbers.get(f"frames_by_{name}") or 0.0) + count
        main = next((track for track in self._tracks if track.owner), None)
        seen = self._streams.get((main.codec, main.rung)) if main else next(iter(self._streams.values()), None)
        if seen is not None:
            numbers["target_bits"] = float(seen.target)
            numbers["real_bits"] = seen.bits.rate(time.monotonic())
            numbers["encode_ms_p50"] = seen.times.percentile(50)
            numbers["encode_ms_p95"] = seen.times.percentile(95)
        return numbers

    def _end_tracks(self) -> None:
        for track in tuple(self._handed):
            track.stop()

    async def close(self) -> None:
        """End every track. Repeatable; a frame that is being encoded is finished first, in its executor."""
        self.closed = True
        self._end_tracks()
        if self._hurry:
            self._hurry.cancel()
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._streams.clear()  # an encoder is megabytes outside of Python, which no garbage collection hurries for


def codec_name(name: str) -> CodecName:
    """A codec's name as it stands in SDP. Raises ValueError for one that we do not send."""
    match name.upper():
        case "H264":
            return "H264"
        case "VP8":
            return "VP8"
    raise ValueError(f"{name} is not a codec of this server")


def _owned(viewers: Iterable[PacketTrack]) -> bool:
    return any(track.owner for track in viewers)


def _target(step: Rung, viewers: Iterable[PacketTrack], now: float) -> int:
    """Bits a second for a stream: the owner's, else what the widest link takes; on the low rung, the narrowest."""
    links = {track: track.link.target(now) for track in viewers}
    own = next((bits for track, bits in links.items() if track.owner), None)
    if own is not None:
        return own
    return max(links.values()) if step == "full" else min(links.values())
