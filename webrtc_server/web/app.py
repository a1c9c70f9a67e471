"""The application: builds every part, runs them, ends them in the right order. No global, no work at import."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

from aiohttp import web

from pipeline.catalog import ATTENTION_VARIABLE, MODEL_DIR_VARIABLE, MODEL_VARIABLE, VAE_VARIABLE
from pipeline.registry import available
from pipeline.worker.supervisor import WORKER_MODULE, Supervisor
from webrtc_server.config import Config
from webrtc_server.limits import OFFER_BYTES
from webrtc_server.rtc import patches, udp_range
from webrtc_server.rtc.encoder import gpu_encodes
from webrtc_server.rtc.reach import Reach
from webrtc_server.rtc.relay import Sending
from webrtc_server.sessions.manager import SessionManager
from webrtc_server.sessions.painters import Painters
from webrtc_server.sessions.viewers import Viewers
from webrtc_server.static_files import static_dir
from webrtc_server.web.info_api import InfoApi
from webrtc_server.web.middleware import add_headers, errors, origins
from webrtc_server.web.session_api import SessionApi
from webrtc_server.web.whep_api import WhepApi
from webrtc_server.web.whip_api import WhipApi
from webrtc_server.web.ws_api import WebSocketApi

CODEC_THREADS = 2  # for the pictures of /ws
ENCODER_THREADS = max(2, min(8, os.cpu_count() or 1))  # for WebRTC's video: one frame of a session at a time
SHUTDOWN_TIMEOUT = 5.0  # seconds for requests in flight, once the sessions have ended

MANAGER: web.AppKey[SessionManager] = web.AppKey("manager", SessionManager)
SUPERVISOR: web.AppKey[Supervisor] = web.AppKey("supervisor", Supervisor)


def build_app(config: Config, pipeline: str, reason: str, worker_module: str = WORKER_MODULE) -> web.Application:
    """The whole server as an aiohttp application; its worker starts and ends with it. Needs a running event loop."""
    supervisor = Supervisor(_with_fallbacks(pipeline), worker_module, _worker_environment(config))
    painters = Painters(supervisor, pipeline, reason, config.model)
    manager = SessionManager(painters, config.session_settings(pipeline), config.max_sessions)
    codec = ThreadPoolExecutor(CODEC_THREADS, "pictures")
    encoding = ThreadPoolExecutor(ENCODER_THREADS, "encode")
    viewers = Viewers()
    kbps = config.video_bitrate_kbps
    sending = Sending(encoding, kbps * 1000 if kbps is not None else None)
    reach = Reach.of(config)
    patches.end_consent_checks_with_the_connection()
    patches.bound_gathering()
    if config.ice_loopback or _is_loopback(config.host):
        patches.offer_loopback()

    async def parts(app: web.Application) -> AsyncIterator[None]:
        release_ports = udp_range.use(asyncio.get_running_loop(), reach.udp_ports) if reach.udp_ports else None
        supervisor.start()
        manager.start()
        _start_threads(encoding, ENCODER_THREADS)
        encoding.submit(gpu_encodes)  # known before the first session needs it
        yield  # the sessions end before the connections that carry them: see on_shutdown
        if release_ports:
            release_ports()
        await supervisor.close()
        codec.shutdown(cancel_futures=True)
        encoding.shutdown(cancel_futures=True)

    app = web.Application(client_max_size=OFFER_BYTES, middlewares=[errors, origins(config.allowed_origins)])
    app[MANAGER] = manager
    app[SUPERVISOR] = supervisor
    app.on_response_prepare.append(add_headers)
    app.on_shutdown.append(lambda _: manager.close())
    app.on_shutdown.append(lambda _: viewers.close())
    app.cleanup_ctx.append(parts)
    sessions = SessionApi(manager, reach, sending, viewers)
    app.add_routes(sessions.routes())
    app.add_routes(WhipApi(manager, sessions, reach).routes())
    app.add_routes(WhepApi(viewers, reach).routes())
    app.add_routes(WebSocketApi(manager, codec).routes())
    app.add_routes(InfoApi(manager, reach).routes())
    app.add_routes(_pages())
    return app


def _start_threads(executor: ThreadPoolExecutor, count: int) -> None:
    """All of them now, and none in the middle of a call."""
    all_here = threading.Barrier(count)
    for _ in range(count):
        executor.submit(all_here.wait)


def _with_fallbacks(pipeline: str) -> list[str]:
    """The pipeline asked for, then the others, best first: what one machine cannot load another might."""
    return [pipeline, *(name for name in available() if name != pipeline)]


def _worker_environment(config: Config) -> dict[str, str]:
    """What of the configuration is the worker's business."""
    environment: dict[str, str] = {VAE_VARIABLE: config.vae, ATTENTION_VARIABLE: config.attention}
    if config.gpu_device:  # else the first there is, or what this process was told by CUDA_VISIBLE_DEVICES itself
        environment["CUDA_VISIBLE_DEVICES"] = str(config.gpu_device)
    if config.model is not None:
        environment[MODEL_VARIABLE] = config.model
    if config.model_dir is not None:
        environment[MODEL_DIR_VARIABLE] = config.model_dir
    return environment


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _pages() -> list[web.AbstractRouteDef]:
    folder = static_dir()

    async def index(request: web.Request) -> web.FileResponse:
        return web.FileResponse(folder / "index.html", headers={"Cache-Control": "no-cache"})

    return [web.get("/", index), web.static("/static", folder, follow_symlinks=False)]


def run(config: Config, pipeline: str, reason: str) -> int:
    """Serve until SIGINT or SIGTERM; the exit code. Raises OSError if the address cannot be listened on."""
    return asyncio.run(_serve(config, pipeline, reason))


async def _serve(config: Config, pipeline: str, reason: str) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signal_number, stop.set)
    runner = web.AppRunner(build_app(config, pipeline, reason), access_log=None, shutdown_timeout=SHUTDOWN_TIMEOUT)
    await runner.setup()
    try:
        site = web.TCPSite(runner, config.host, config.port)
        await site.start()
        host, port = f"[{config.host}]" if ":" in config.host else config.host, runner.addresses[0][1]
        sys.stdout.write(f"listening on http://{host}:{port}\nopen http://localhost:{port} in a browser\n")
        sys.stdout.flush()
        await stop.wait()
    finally:
        await runner.cleanup()
    return 0
