"""WHIP (RFC 9725): `POST /whip` sends video in, and the session's own address. Thin.

There is no data channel and no way back for the picture: settings stand in the query, are changed by
`PATCH /api/sessions/{session_id}/settings`, and the painted video is watched at the `view_id` that a Link names.
Where clients in use leave the standard they are let through: candidates without If-Match, DELETE after the connection
is closed, a Location without the query.
"""

from __future__ import annotations

import secrets

from aiohttp import web

from webrtc_server.limits import JSON_BYTES, SDP_BYTES
from webrtc_server.protocol import whip
from webrtc_server.rtc.reach import Reach
from webrtc_server.sessions.manager import SessionManager
from webrtc_server.web.body import read_text
from webrtc_server.web.session_api import SessionApi

SDP_TYPE = "application/sdp"
TRICKLE_TYPE = "application/trickle-ice-sdpfrag"
ANY = "*"  # as If-Match: a new ICE session is wanted (RFC 9725 section 4.3.3)


class WhipApi:
    def __init__(self, manager: SessionManager, sessions: SessionApi, reach: Reach) -> None:
        self._manager = manager
        self._sessions = sessions
        self._reach = reach

    def routes(self) -> list[web.RouteDef]:
        return [
            web.options("/whip", self.options),
            web.post("/whip", self.publish),
            web.patch("/whip/sessions/{session_id}", self.trickle),
            web.delete("/whip/sessions/{session_id}", self.delete),
        ]

    async def options(self, request: web.Request) -> web.Response:
        """For clients that ask for their ICE servers first; with the token, as everything that tells them."""
        response = web.Response(status=204, headers={"Accept-Post": SDP_TYPE, "Allow": "OPTIONS, POST"})
        return self._with_links(response)

    async def publish(self, request: web.Request) -> web.Response:
        """A complete offer in, a complete answer out."""
        sdp = await read_text(request, SDP_TYPE, SDP_BYTES)
        client_id = request.query.get(whip.CLIENT_ID)
        session, answer = await self._sessions.open(sdp, whip.settings(request.query), client_id)
        headers = {"Location": f"/whip/sessions/{session.session_id}", "ETag": f'"{secrets.token_hex(8)}"'}
        response = self._with_links(web.Response(status=201, text=answer, content_type=SDP_TYPE, headers=headers))
        response.headers.add("Link", f'</whep/{session.view_id}>; rel="alternate"; type="{SDP_TYPE}"')
        return response

    async def trickle(self, request: web.Request) -> web.Response:
        """Candidates are taken and not needed: the connectivity checks tell them (RFC 8445 section 7.3.1.3)."""
        self._manager.find(request.match_info["session_id"])
        if request.headers.get("If-Match") == ANY:
            raise web.HTTPUnprocessableEntity(reason="An ICE restart is not possible. Start a new session.")
        await read_text(request, TRICKLE_TYPE, JSON_BYTES)
        return web.Response(status=204)

    async def delete(self, request: web.Request) -> web.Response:
        """200 and nothing else, as OBS wants it; repeatable, for clients close their connection first."""
        await self._sessions.end(request.match_info["session_id"])
        return web.Response(status=200)

    def _with_links(self, response: web.Response) -> web.Response:
        response.headers["Cache-Control"] = "no-store"  # a TURN password in it is made for this answer
        for link in whip.links(self._reach.ice_servers()):
            response.headers.add("Link", link)
        return response
