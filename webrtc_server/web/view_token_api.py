"""`POST /api/sessions/{session_id}/view-token`: a link to watch a session, for those who have not the owner's token."""

from __future__ import annotations

from aiohttp import web

from webrtc_server.protocol.bodies import ViewToken
from webrtc_server.protocol.error_codes import Code
from webrtc_server.sessions.manager import SessionManager
from webrtc_server.web.gate import Gate
from webrtc_server.web.routes import Answer, Content, Operation, Tag, answer


class ViewTokenApi:
    def __init__(self, manager: SessionManager, gate: Gate) -> None:
        self._manager = manager
        self._gate = gate

    @Operation(
        "makeViewToken",
        "POST",
        "/api/sessions/{session_id}/view-token",
        "Make a link to watch a session",
        tag=Tag.SESSIONS,
        gives={200: Answer("The token, and a link with it.", Content(model=ViewToken))},
        errors=(Code.NOT_FOUND,),
    )
    async def make(self, request: web.Request) -> web.Response:
        """The token stands behind the `#`, which browsers keep to themselves: it comes into no log and no Referer."""
        view_id = self._manager.find(request.match_info["session_id"]).view_id
        token, seconds = self._gate.view_token(view_id)
        made = ViewToken(view_token=token, expires_in_s=seconds, url=f"/view/{view_id}#token={token}")
        return answer(made, headers={"Cache-Control": "no-store"})
