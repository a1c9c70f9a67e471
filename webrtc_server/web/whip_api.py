"""WHIP (RFC 9725): `POST /whip` sends video in, and the session's own address. Thin.

There is no data channel and no way back for the picture: settings stand in the query, are changed by
`PATCH /api/sessions/{session_id}/settings`, and the painted video is watched at the `view_id` that a Link names.
Where clients in use leave the standard they are let through: candidates without If-Match, DELETE after the connection
is closed, a Location without the query.
"""

from __future__ import annotations

from aiohttp import web

from pipeline.settings import Settings
from webrtc_server.limits import SDP_BYTES
from webrtc_server.protocol import whip
from webrtc_server.protocol.error_codes import Code
from webrtc_server.protocol.whip import SDP_TYPE
from webrtc_server.rtc.reach import Reach
from webrtc_server.sessions.manager import SessionManager
from webrtc_server.web import sdp_exchange as exchange
from webrtc_server.web.body import read_text
from webrtc_server.web.routes import CLIENT_ID, Answer, Content, Operation, Tag, query_of
from webrtc_server.web.session_api import OFFER_ERRORS, SessionApi

SETTINGS = query_of(Settings)


class WhipApi:
    def __init__(self, manager: SessionManager, sessions: SessionApi, reach: Reach) -> None:
        self._manager = manager
        self._sessions = sessions
        self._reach = reach

    @Operation("whipOptions", "OPTIONS", "/whip", "What WHIP takes here", tag=Tag.WHIP, gives={204: exchange.OPTIONS})
    async def options(self, request: web.Request) -> web.Response:
        """For clients that ask for their ICE servers first; with the token, as everything that tells them."""
        return exchange.options(self._reach.ice_servers())

    @Operation(
        "publish",
        "POST",
        "/whip",
        "Send video in",
        tag=Tag.WHIP,
        takes=exchange.OFFER,
        query={"client_id": CLIENT_ID} | SETTINGS,
        gives={
            201: Answer(
                "The session. Its last part is the `session_id`.",
                Content(SDP_TYPE),
                exchange.HEADERS | {"Link": f'{exchange.LINK} And where it can be watched, `rel="alternate"`.'},
            )
        },
        errors=OFFER_ERRORS,
    )
    async def publish(self, request: web.Request) -> web.Response:
        """WHIP (RFC 9725): a complete offer in, a complete answer out. The painted video does not come back on this
        connection. Settings stand in the query: a text as it is, anything else as in JSON.
        """
        sdp = await read_text(request, SDP_TYPE, SDP_BYTES)
        client_id = request.query.get(whip.CLIENT_ID)
        session, answered = await self._sessions.open(sdp, whip.settings(request.query), client_id)
        response = exchange.created(f"/whip/sessions/{session.session_id}", answered, self._reach.ice_servers())
        response.headers.add("Link", f'</whep/{session.view_id}>; rel="alternate"; type="{SDP_TYPE}"')
        return response

    @Operation(
        "publisherCandidates",
        "PATCH",
        "/whip/sessions/{session_id}",
        "Send candidates",
        tag=Tag.WHIP,
        takes=exchange.FRAGMENT,
        if_match=exchange.ICE_SESSION,
        gives={204: exchange.TAKEN},
        errors=exchange.CANDIDATE_ERRORS,
    )
    async def trickle(self, request: web.Request) -> web.Response:
        """Candidates are taken and not needed: the connectivity checks tell them (RFC 8445 section 7.3.1.3). An ICE
        restart, which is what `If-Match: *` asks for, is refused (RFC 9725 section 4.3.3).
        """
        session_id = request.match_info["session_id"]
        self._manager.find(session_id)
        return await exchange.take_candidates(request, session_id)

    @Operation(
        "stopPublishing",
        "DELETE",
        "/whip/sessions/{session_id}",
        "Stop sending",
        tag=Tag.WHIP,
        gives={200: Answer("The session has ended.")},
        errors=(Code.NOT_FOUND,),
    )
    async def delete(self, request: web.Request) -> web.Response:
        """200 and nothing else, as OBS wants it; repeatable, for clients close their connection first."""
        await self._sessions.end(request.match_info["session_id"])
        return web.Response(status=200)
