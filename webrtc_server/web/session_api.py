"""`POST /offer` and what can be done to a session over HTTP. Thin: the transport and the manager do the work."""

from __future__ import annotations

from typing import Any, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from pipeline.videoframe import VideoPicture
from webrtc_server.limits import OFFER_BYTES
from webrtc_server.protocol.error_codes import Code
from webrtc_server.protocol.sdp_guard import plan
from webrtc_server.rtc.reach import Reach
from webrtc_server.rtc.relay import Sending
from webrtc_server.sessions.manager import SessionManager
from webrtc_server.sessions.session import Session
from webrtc_server.sessions.viewers import Viewers
from webrtc_server.transports.webrtc import WebRtcTransport
from webrtc_server.web.body import read_model, read_object


class OfferBody(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    sdp: str
    type: Literal["offer"]
    settings: dict[str, Any] | None = None
    client_id: str | None = None


class SessionApi:
    def __init__(self, manager: SessionManager, reach: Reach, sending: Sending, viewers: Viewers) -> None:
        self._manager = manager
        self._reach = reach
        self._sending = sending
        self._viewers = viewers

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/offer", self.offer),
            web.delete("/api/sessions/{session_id}", self.delete),
            web.patch("/api/sessions/{session_id}/settings", self.patch_settings),
        ]

    async def offer(self, request: web.Request) -> web.Response:
        """A complete offer in, a complete answer out."""
        body = await read_model(request, OfferBody, OFFER_BYTES)
        session, sdp = await self.open(body.sdp, body.settings, body.client_id)
        return web.json_response(
            {"sdp": sdp, "type": "answer", "session_id": session.session_id, "view_id": session.view_id}
        )

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
            answer = await transport.answer(offered)
        except BaseException:
            await self._manager.end(session)
            raise
        self._viewers.publish(session.view_id, transport.video)
        return session, answer

    async def end(self, session_id: str) -> None:
        """Repeatable: a session that ended a short while ago is no error. Raises ClientError `not_found`."""
        if not self._manager.has_ended(session_id):
            await self._manager.end(self._manager.find(session_id), Code.SESSION_ENDED)

    async def delete(self, request: web.Request) -> web.Response:
        await self.end(request.match_info["session_id"])
        return web.json_response({"ended": True})

    async def patch_settings(self, request: web.Request) -> web.Response:
        """As the `settings` message, for clients without a data channel."""
        session = self._manager.find(request.match_info["session_id"])
        applied = await session.apply(await read_object(request))
        return web.json_response(applied.model_dump(mode="json"))
