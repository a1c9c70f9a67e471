"""`POST /api/sessions/{session_id}/view-token`: a link to watch a session, for those who have not the owner's token."""

from __future__ import annotations

from aiohttp import web

from webrtc_server.sessions.manager import SessionManager
from webrtc_server.web.gate import Gate


class ViewTokenApi:
    def __init__(self, manager: SessionManager, gate: Gate) -> None:
        self._manager = manager
        self._gate = gate

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/api/sessions/{session_id}/view-token", self.make)]

    async def make(self, request: web.Request) -> web.Response:
        """The token stands behind the `#`, which browsers keep to themselves: it comes into no log and no Referer."""
        view_id = self._manager.find(request.match_info["session_id"]).view_id
        token, seconds = self._gate.view_token(view_id)
        answer = {"view_token": token, "expires_in_s": seconds, "url": f"/view/{view_id}#token={token}"}
        return web.json_response(answer, headers={"Cache-Control": "no-store"})
