"""WHEP (draft-ietf-wish-whep): `POST /whep/{view_id}` to watch a session, and the viewer's own address. Thin.

Trickled candidates are taken and not needed: where a viewer is, its own connectivity checks tell (RFC 8445
section 7.3.1.3). Their If-Match is not insisted on, for players in use leave it out.
"""

from __future__ import annotations

from aiohttp import web

from webrtc_server.limits import SDP_BYTES
from webrtc_server.protocol.error_codes import ClientError, Code
from webrtc_server.protocol.sdp_guard import plan_view
from webrtc_server.protocol.whip import SDP_TYPE
from webrtc_server.rtc.reach import Reach
from webrtc_server.sessions.viewers import Viewers
from webrtc_server.transports.whep import WhepViewer
from webrtc_server.web import sdp_exchange as exchange
from webrtc_server.web.body import read_text
from webrtc_server.web.routes import Answer, Content, Operation, Tag


class WhepApi:
    def __init__(self, viewers: Viewers, reach: Reach) -> None:
        self._viewers = viewers
        self._reach = reach

    @Operation(
        "whepOptions", "OPTIONS", "/whep/{view_id}", "What WHEP takes here", tag=Tag.WHEP, gives={204: exchange.OPTIONS}
    )
    async def options(self, request: web.Request) -> web.Response:
        """For players that ask for their ICE servers first. It does not tell whether there is something to watch."""
        return exchange.options(self._reach.ice_servers())

    @Operation(
        "watch",
        "POST",
        "/whep/{view_id}",
        "Watch a session",
        tag=Tag.WHEP,
        takes=exchange.VIEW_OFFER,
        gives={201: Answer("The viewer.", Content(SDP_TYPE), exchange.HEADERS)},
        errors=(
            Code.NOT_FOUND,
            Code.BAD_SDP,
            Code.NO_VIDEO,
            Code.NO_COMMON_CODEC,
            Code.TOO_LARGE,
            Code.CAPACITY,
            Code.DRAINING,
            Code.ICE_FAILED,
        ),
    )
    async def watch(self, request: web.Request) -> web.Response:
        """WHEP (draft-ietf-wish-whep): a complete offer of a recvonly video in, a complete answer out."""
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
        return exchange.created(f"/whep/sessions/{viewer_id}", sdp, self._reach.ice_servers())

    @Operation(
        "viewerCandidates",
        "PATCH",
        "/whep/sessions/{viewer_id}",
        "Send candidates",
        tag=Tag.WHEP,
        takes=exchange.FRAGMENT,
        if_match=exchange.ICE_SESSION,
        gives={204: exchange.TAKEN},
        errors=exchange.CANDIDATE_ERRORS,
    )
    async def trickle(self, request: web.Request) -> web.Response:
        """Taken and not needed, as a publisher's. An ICE restart is refused: a viewer that lost its way begins anew."""
        viewer_id = request.match_info["viewer_id"]
        if not self._viewers.is_here(viewer_id):
            raise ClientError(Code.NOT_FOUND)
        return await exchange.take_candidates(request, viewer_id)

    @Operation(
        "stopWatching",
        "DELETE",
        "/whep/sessions/{viewer_id}",
        "Stop watching",
        tag=Tag.WHEP,
        gives={200: Answer("The viewer has ended.")},
        errors=(Code.NOT_FOUND,),
    )
    async def delete(self, request: web.Request) -> web.Response:
        """Repeatable: players close their connection first, which ends the viewer before they say so."""
        viewer_id = request.match_info["viewer_id"]
        if not self._viewers.is_here(viewer_id) and not self._viewers.has_ended(viewer_id):
            raise ClientError(Code.NOT_FOUND)
        await self._viewers.end(viewer_id)
        return web.Response(status=200)
