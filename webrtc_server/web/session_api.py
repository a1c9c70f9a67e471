"""`POST /offer` and what can be done to a session over HTTP. Thin: the transport and the manager do the work."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from pipeline.settings import Settings
from pipeline.videoframe import VideoPicture
from webrtc_server.limits import OFFER_BYTES
from webrtc_server.protocol import whip
from webrtc_server.protocol.bodies import OfferAnswer, OfferBody, SessionEnded
from webrtc_server.protocol.error_codes import Code
from webrtc_server.protocol.messages import SettingsAppliedData
from webrtc_server.protocol.sdp_guard import plan
from webrtc_server.rtc.reach import Reach
from webrtc_server.rtc.relay import Sending
from webrtc_server.sessions.manager import SessionManager
from webrtc_server.sessions.session import Session
from webrtc_server.sessions.viewers import Viewers
from webrtc_server.transports.webrtc import WebRtcTransport
from webrtc_server.web.body import preconditions, read_model, read_object
from webrtc_server.web.routes import Answer, Content, Operation, Tag, answer

# What a complete offer that sends video is answered with, whether it comes to `/offer` or to `/whip`.
OFFER_ERRORS = (
    Code.BAD_SDP,
    Code.NO_VIDEO,
    Code.NO_COMMON_CODEC,
    Code.TOO_LARGE,
    Code.INVALID_SETTINGS,
    Code.BAD_MESSAGE,  # a bad client_id
    Code.CAPACITY,
    Code.DRAINING,
    Code.ICE_FAILED,
)


class SessionApi:
    def __init__(self, manager: SessionManager, reach: Reach, sending: Sending, viewers: Viewers) -> None:
        self._manager = manager
        self._reach = reach
        self._sending = sending
        self._viewers = viewers

    @Operation(
        "startSession",
        "POST",
        "/offer",
        "Start a session over WebRTC",
        tag=Tag.SESSIONS,
        takes=Content(model=OfferBody, example={"sdp": whip.EXAMPLE_OFFER, "type": "offer", "settings": {"steps": 1}}),
        gives={200: Answer("The session, and the answer to the offer.", Content(model=OfferAnswer))},
        errors=OFFER_ERRORS,
        links=("endSession", "changeSettings", "makeViewToken"),
    )
    async def offer(self, request: web.Request) -> web.Response:
        """A complete offer in, a complete answer out: no trickle, no renegotiation."""
        body = await read_model(request, OfferBody, OFFER_BYTES)
        session, sdp = await self.open(body.sdp, body.settings, body.client_id)
        return answer(OfferAnswer(sdp=sdp, session_id=session.session_id, view_id=session.view_id))

    async def open(
        self, sdp: str, settings: dict[str, Any] | None, client_id: str | None
    ) -> tuple[Session[VideoPicture], str]:
        """A new session and its answer's SDP. Raises ClientError."""
        offered = plan(sdp)  # first, for a bad offer must not end the session that a good one would take over
        session = self._manager.create(settings, client_id)
        try:
            transport = WebRtcTransport(
                session,
                self._reach,
                self._sending,
                arrived=lambda: self._manager.arrived(session),
                gone=lambda reason: self._manager.end_soon(session, reason),
            )
            answered = await transport.answer(offered)
        except BaseException:
            await self._manager.end(session)
            raise
        self._viewers.publish(session.view_id, transport.video)
        return session, answered

    async def end(self, session_id: str) -> None:
        """Repeatable: a session that ended a short while ago is no error. Raises ClientError `not_found`."""
        if not self._manager.has_ended(session_id):
            await self._manager.end(self._manager.find(session_id), Code.SESSION_ENDED)

    @Operation(
        "endSession",
        "DELETE",
        "/api/sessions/{session_id}",
        "End a session",
        tag=Tag.SESSIONS,
        gives={200: Answer("It has ended.", Content(model=SessionEnded))},
        errors=(Code.NOT_FOUND,),
    )
    async def delete(self, request: web.Request) -> web.Response:
        """May be repeated for five minutes."""
        await self.end(request.match_info["session_id"])
        return answer(SessionEnded())

    @Operation(
        "changeSettings",
        "PATCH",
        "/api/sessions/{session_id}/settings",
        "Change settings of a session",
        tag=Tag.SESSIONS,
        takes=Content(model=Settings, example={"prompt": "ink wash", "denoising_strength": 0.6}),
        if_match="The version that the change is meant for, as the ETag of the last change; a plain number in quotes.",
        gives={
            200: Answer(
                "All settings, as they are in force or being rebuilt.",
                Content(model=SettingsAppliedData),
                {"ETag": "The version of the settings."},
            )
        },
        errors=(
            Code.NOT_FOUND,
            Code.INVALID_SETTINGS,
            Code.APPLY_FAILED,
            Code.GPU_OOM,
            Code.MODEL_LOAD_FAILED,
            Code.PRECONDITION_FAILED,
        ),
    )
    async def patch_settings(self, request: web.Request) -> web.Response:
        """What the `settings` message does, for clients without a data channel, as those of WHIP: name what is to
        change, and nothing else. All of it is put into force, or nothing, with every bad field named. An empty object
        changes nothing and tells the settings.
        """
        session = self._manager.find(request.match_info["session_id"])
        applied = await session.apply(await read_object(request), preconditions(request))
        return answer(applied, headers={"ETag": f'"{applied.version}"'})
