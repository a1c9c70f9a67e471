"""A session over WebRTC: the peer's video goes in, painted frames go out on the track, JSON goes over the channel."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import av

from pipeline import videoframe
from pipeline.frame import Frame
from pipeline.settings import Settings
from pipeline.videoframe import VideoPicture
from pipeline.worker.memory import fits
from pipeline.worker.messages import Done
from webrtc_server.observe.counted import Counted
from webrtc_server.protocol.error_codes import ClientError, Code
from webrtc_server.protocol.messages import ServerData, encode
from webrtc_server.protocol.sdp_guard import OfferPlan, codec
from webrtc_server.rtc.datachannel import ControlChannel
from webrtc_server.rtc.peer import Peer
from webrtc_server.rtc.reach import Reach
from webrtc_server.rtc.relay import Broadcast, Sending, codec_name
from webrtc_server.rtc.track_out import TIME_BASE, PaintedTrack, ticks
from webrtc_server.sessions.session import Session


class WebRtcTransport:
    """Implements `sessions.interfaces.Transport` and `rtc.peer.Listener`.

    `arrived` is called once the peer is connected, `gone` with a reason, or None, once it is lost.
    """

    name = "webrtc"

    def __init__(
        self,
        session: Session[VideoPicture],
        reach: Reach,
        sending: Sending,
        arrived: Callable[[], None],
        gone: Callable[[Code | None], None],
    ) -> None:
        self._session = session
        self._arrived = arrived
        self._gone = gone
        self._peer = Peer(reach, self)
        self._track = PaintedTrack(self._count_sent, self._plain)
        self.video = Broadcast(self._track, sending)
        self._channel: ControlChannel | None = None
        self._numbers: dict[str, float | None] = {}
        self._numbers_task: asyncio.Task[None] | None = None
        session.attach(self)

    async def answer(self, plan: OfferPlan) -> str:
        """The answer's SDP. Raises ClientError; the session is to be ended then."""
        packets = self.video.track(owner=True)
        sdp = await self._peer.answer(plan, packets)
        if plan.output_mid is not None:
            packets.codec = codec_name(codec(sdp, plan.output_mid))
        return sdp

    # rtc.peer.Listener

    def connected(self) -> None:
        self._arrived()

    def captured(self, frame: av.VideoFrame) -> None:
        if fits(frame.width, frame.height):  # the session counts and refuses the others, if any came this far
            self._track.captured(frame)
        self._session.put(VideoPicture(frame, time.monotonic()))

    def refused(self, width: int, height: int) -> None:
        self._session.refuse(width, height)

    def camera_ended(self) -> None:
        self._session.camera_ended()

    def channel_opened(self, channel: ControlChannel) -> None:
        self._channel = channel
        self._session.greet()

    def text_received(self, text: str) -> None:
        self._session.heard()
        self._session.conversation.receive_text(text)

    def binary_received(self) -> None:
        self._session.conversation.receive_binary()

    def gone(self, reason: Code | None) -> None:
        if reason:
            self._session.tell(ClientError(reason))
        self._gone(reason)

    # sessions.interfaces.Transport

    def send(self, data: ServerData, reply_to: str | None = None) -> None:
        if self._channel:
            self._channel.send(encode(data, reply_to))

    def painted(self, source: VideoPicture, frame: Frame, done: Done) -> None:
        self._track.finished(videoframe.to_video(frame, ticks(source.frame), TIME_BASE))
        self._session.statistics.stages["server"].add((time.monotonic() - source.arrived) * 1000)

    def unpainted(self, source: VideoPicture, settings: Settings, version: int) -> None:
        self._track.finished(self._plain(source.frame))

    def figures(self) -> dict[str, float | None]:
        """RTCP's numbers are fetched aside and are those of the call before."""
        if self._numbers_task is None or self._numbers_task.done():
            self._numbers_task = asyncio.create_task(self._fetch_numbers(), name="rtc stats")
        sent = {f"sent_{kind}": float(count) for kind, count in self._track.kinds.items()}
        return self._numbers | sent | {"late": float(self._track.late)} | self.video.figures()

    def counted(self) -> Counted:
        counted = self._peer.counted()
        counted.dropped["late"] = self._track.late
        counted.stages["encode"].merge(self.video.encode_times)
        return counted

    async def _fetch_numbers(self) -> None:
        self._numbers = await self._peer.numbers()

    async def close(self, reason: Code | None) -> None:
        if self._numbers_task:
            self._numbers_task.cancel()
            await asyncio.gather(self._numbers_task, return_exceptions=True)
        self._track.stop()
        await self.video.close()
        await self._peer.close()

    def _plain(self, frame: av.VideoFrame) -> av.VideoFrame:
        shown = videoframe.unpainted(VideoPicture(frame), self._session.settings)
        return videoframe.to_video(shown, ticks(frame), TIME_BASE)

    def _count_sent(self) -> None:
        self._session.statistics.count("sent", time.monotonic())
