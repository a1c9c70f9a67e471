"""A viewer over WebRTC: it gets the packets of a session's video and sends nothing. It ends with that session."""

from __future__ import annotations

from collections.abc import Callable

import av

from webrtc_server.observe.counted import Counted
from webrtc_server.protocol.error_codes import ClientError, Code
from webrtc_server.protocol.sdp_guard import OfferPlan, codec
from webrtc_server.rtc.datachannel import ControlChannel
from webrtc_server.rtc.peer import CLOSED_MEANWHILE, Peer
from webrtc_server.rtc.reach import Reach
from webrtc_server.rtc.relay import Broadcast, codec_name


class WhepViewer:
    """Implements `sessions.viewers.Viewer` and `rtc.peer.Listener`. `gone` is called once there is no more to see."""

    def __init__(self, video: Broadcast, reach: Reach, gone: Callable[[], None]) -> None:
        self._gone = gone
        self._peer = Peer(reach, self)
        self._track = video.track()
        self._track.on("ended", gone)  # with the session

    async def answer(self, plan: OfferPlan) -> str:
        """The answer's SDP. Raises ClientError; the viewer is to be ended then."""
        assert plan.output_mid is not None
        sdp = await self._peer.answer(plan, self._track)
        if self._track.readyState != "live":
            raise ClientError(Code.NOT_FOUND, CLOSED_MEANWHILE)
        self._track.codec = codec_name(codec(sdp, plan.output_mid))
        return sdp

    def counted(self) -> Counted:
        return self._peer.counted()

    # rtc.peer.Listener

    def connected(self) -> None:
        """Nothing waits for it."""

    def camera_ended(self) -> None:
        """Never called, as `captured`."""

    def captured(self, frame: av.VideoFrame) -> None:
        """Never called: the plan has no input."""

    def refused(self, width: int, height: int) -> None:
        """As above."""

    def channel_opened(self, channel: ControlChannel) -> None:
        channel.close()  # watching is all that a viewer may do

    def text_received(self, text: str) -> None:
        """What came before the channel was closed."""

    def binary_received(self) -> None:
        """As above."""

    def gone(self, reason: Code | None) -> None:
        self._gone()

    async def close(self) -> None:
        self._track.remove_all_listeners()
        self._track.stop()
        await self._peer.close()
