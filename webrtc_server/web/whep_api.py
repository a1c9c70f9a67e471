"""WHEP (draft-ietf-wish-whep): `POST /whep/{view_id}` to watch a session, and the viewer's own address. Thin.

Trickled candidates are taken and not needed: where a viewer is, its own connectivity checks tell (RFC 8445
section 7.3.1.3). Their If-Match is not insisted on, for players in use leave it out.
"""

from __future__ import annotations

import secrets

from aiohttp import web

from webrtc_server.limits import JSON_BYTES, SDP_BYTES
from webrtc_server.protocol.error_codes import ClientError, Code
from webrtc_server.protocol.sdp_guard import plan_view
from webrtc_server.rtc.reach import Reach
from webrtc_server.sessions.viewers import Viewers
from webrtc_server.transports.whep import WhepViewer
from webrtc_server.web.body import read_text

SDP_TYPE = "application/sdp"
TRICKLE_TYPE = "application/trickle-ice-sdpfrag"


class WhepApi:
    def __init__(self, viewers: Viewers, reach: Reach) -> None:
        self._viewers = viewers
        self._reach = reach

    def routes(self) -> list[web.RouteDef]:
        return [
            web.options("/whep/{view_id}", self.options),
            web.post("/whep/{view_id}", self.watch),
            web.patch("/whep/sessions/{viewer_id}", self.trickle),
            web.delete("/whep/sessions/{viewer_id}", self.delete),
        ]

    async def options(self, request: web.Request) -> web.Response:
        return web.Response(status=204, headers={"Accept-Post": SDP_TYPE, "Allow": "OPTIONS, POST"})

    async def watch(self, request: web.Request) -> web.Response:
        """A complete offer in, a complete answer out."""
        view_id = request.match_info["view_id"]
        video = self._viewers.video(view_id)
        offered = plan_view(await read_text(request, SDP_TYPE, SDP_BYTES))
        viewer_id = self._viewers.reserve(view_id)
        try:
            viewer = WhepViewer(video, self._reach, lambda: self._viewers.end_soon(viewer_id))
            self._viewers.seat(viewer_id, viewer)
            sdp = await viewer.answer(offered)
        except BaseException:
            await self._viewers.end(viewer_id)
            raise
        headers = {"Location": f"/whep/sessions/{viewer_id}", "ETag": f'"{secrets.token_hex(8)}"'}
        return web.Response(status=201, text=sdp, content_type=SDP_TYPE, headers=headers)

    async def trickle(self, request: web.Request) -> web.Response:
        if not self._viewers.is_here(request.match_info["viewer_id"]):
            raise ClientError(Code.NOT_FOUND)
        await read_text(request, TRICKLE_TYPE, JSON_BYTES)
        return web.Response(status=204)

    async def delete(self, request: web.Request) -> web.Response:
        """Repeatable: players close their connection first, which ends the viewer before they say so."""
        viewer_id = request.match_info["viewer_id"]
        if not self._viewers.is_here(viewer_id) and not self._viewers.has_ended(viewer_id):
            raise ClientError(Code.NOT_FOUND)
        await self._viewers.end(viewer_id)
        return web.Response(status=200)
