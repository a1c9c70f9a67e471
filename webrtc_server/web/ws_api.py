"""`GET /ws`: pictures and JSON on one socket. Thin: reads the socket, `transports/ws_pictures.py` does the rest."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from aiohttp import WSMsgType, web

from webrtc_server.limits import WS_HEARTBEAT, WS_MESSAGE_BYTES
from webrtc_server.policy.tokens import SUBPROTOCOL
from webrtc_server.sessions.manager import SessionManager
from webrtc_server.transports.ws_pictures import WebSocketTransport


class WebSocketApi:
    def __init__(self, manager: SessionManager, codec: ThreadPoolExecutor) -> None:
        self._manager = manager
        self._codec = codec

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/ws", self.connect, allow_head=False)]  # a HEAD would upgrade as well

    async def connect(self, request: web.Request) -> web.WebSocketResponse:
        """`?client_id=` is that of `/offer`. Compression is off: pictures do not shrink, and a small message could
        unpack into a large one.
        """
        socket = web.WebSocketResponse(
            max_msg_size=WS_MESSAGE_BYTES + 1,  # aiohttp's own is refused when it is reached
            compress=False,
            heartbeat=WS_HEARTBEAT,
            protocols=(SUBPROTOCOL,),
        )
        if not socket.can_prepare(request).ok:
            raise web.HTTPUpgradeRequired(reason="This address speaks WebSocket only.")
        session = self._manager.create(None, request.query.get("client_id"))
        try:
            await socket.prepare(request)
            self._manager.arrived(session, watched=True)
            assert request.transport  # there is one while the handler runs
            transport = WebSocketTransport(session, socket, request.transport.abort, self._codec)
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    transport.receive_text(message.data)
                elif message.type is WSMsgType.BINARY:
                    transport.receive_binary(message.data)
        finally:
            await self._manager.end(session)
        return socket
