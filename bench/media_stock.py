"""The opponents of `bench.media`: a server written with stock aiortc as its example server is, and one with fastrtc.

`python -m bench.media_stock aiortc|fastrtc` prints `listening on URL` and serves until it is stopped.
"""

from __future__ import annotations

import asyncio
import socket
import sys

import av
from aiohttp import web
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaRelay

from webrtc_server.rtc import patches


class Transform(MediaStreamTrack):
    """Gives each picture back as it came, the way of examples/server of aiortc."""

    kind = "video"

    def __init__(self, track: MediaStreamTrack) -> None:
        super().__init__()
        self._track = track

    async def recv(self) -> av.VideoFrame:
        frame = await self._track.recv()
        assert isinstance(frame, av.VideoFrame)
        return frame


def aiortc_app() -> web.Application:
    connections: set[RTCPeerConnection] = set()
    relay = MediaRelay()

    async def offer(request: web.Request) -> web.Response:
        body = await request.json()
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        connections.add(connection)

        @connection.on("track")
        def on_track(track: MediaStreamTrack) -> None:
            if track.kind == "video":
                connection.addTrack(Transform(relay.subscribe(track)))

        await connection.setRemoteDescription(RTCSessionDescription(body["sdp"], body["type"]))
        await connection.setLocalDescription(await connection.createAnswer())
        local = connection.localDescription
        return web.json_response({"sdp": local.sdp, "type": local.type})

    async def close(app: web.Application) -> None:
        await asyncio.gather(*(connection.close() for connection in connections))

    app = web.Application()
    app.router.add_post("/offer", offer)
    app.on_shutdown.append(close)
    return app


async def serve_aiortc() -> None:
    runner = web.AppRunner(aiortc_app(), shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"listening on http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


def serve_fastrtc() -> None:
    import fastapi  # type: ignore[import-not-found,unused-ignore]  # with fastrtc only
    import fastrtc  # type: ignore[import-not-found,unused-ignore]
    import uvicorn  # type: ignore[import-not-found,unused-ignore]

    app = fastapi.FastAPI()
    fastrtc.Stream(handler=lambda picture: picture, modality="video", mode="send-receive").mount(app)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}/webrtc", flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listener])


if __name__ == "__main__":
    patches.offer_loopback()
    if sys.argv[1] == "fastrtc":
        serve_fastrtc()
    else:
        asyncio.run(serve_aiortc())
