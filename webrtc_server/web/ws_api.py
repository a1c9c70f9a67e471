"""`GET /ws`: pictures and JSON on one socket. Thin: reads the socket, `transports/ws_pictures.py` does the rest."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from aiohttp import WSMsgType, web

from webrtc_server.limits import WS_HEARTBEAT, WS_MESSAGE_BYTES
from webrtc_server.policy.tokens import SUBPROTOCOL
from webrtc_server.protocol.error_codes import ClientError, Code
from webrtc_server.sessions.manager import SessionManager
from webrtc_server.transports.ws_pictures import WebSocketTransport
from webrtc_server.web.routes import CLIENT_ID, Answer, Operation, Tag


class WebSocketApi:
    def __init__(self, manager: SessionManager, codec: ThreadPoolExecutor) -> None:
        self._manager = manager
        self._codec = codec

    @Operation(
        "openSocket",
        "GET",
        "/ws",
        "A session over a WebSocket",
        tag=Tag.SESSIONS,
        query={"client_id": CLIENT_ID},
        gives={101: Answer("The socket is open; what is said on it stands in `/asyncapi.json`.")},
        errors=(Code.UPGRADE_REQUIRED, Code.BAD_MESSAGE, Code.CAPACITY, Code.DRAINING),
        head=False,  # it would upgrade as well
    )
    async def connect(self, request: web.Request) -> web.WebSocketResponse:
        """JPEG or PNG pictures in, painted ones out, and the protocol's messages, where UDP cannot pass."""
        # Compression is off: pictures do not shrink, and a small message could unpack into a large one.
        socket = web.WebSocketResponse(
            max_msg_size=WS_MESSAGE_BYTES + 1,  # aiohttp's own is refused when it is reached
            compress=False,
            heartbeat=WS_HEARTBEAT,
            protocols=(SUBPROTOCOL,),
        )
        if not socket.can_prepare(request).ok:
            raise ClientError(Code.UPGRADE_REQUIRED)
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
