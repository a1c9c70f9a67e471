"""The application: builds every part, starts and ends it. No global, no work at import. Run by `process.py`."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

from aiohttp import web

from pipeline.catalog import ATTENTION_VARIABLE, MODEL_DIR_VARIABLE, MODEL_VARIABLE, VAE_VARIABLE
from pipeline.registry import available
from pipeline.worker.log import FORMAT_VARIABLE
from pipeline.worker.supervisor import WORKER_MODULE, Supervisor
from webrtc_server.config import Config
from webrtc_server.limits import OFFER_BYTES, STOP_TIMEOUT
from webrtc_server.observe.log import get_logger, is_console
from webrtc_server.observe.loop_clock import LoopClock
from webrtc_server.protocol import asyncapi
from webrtc_server.rtc import patches, udp_range
from webrtc_server.rtc.encoder import gpu_encodes
from webrtc_server.rtc.reach import Reach
from webrtc_server.rtc.relay import Sending
from webrtc_server.sessions.manager import SessionManager
from webrtc_server.sessions.painters import Painters
from webrtc_server.sessions.view_id import key_of
from webrtc_server.sessions.viewers import Viewers
from webrtc_server.web import openapi
from webrtc_server.web.compress import compress_files
from webrtc_server.web.docs_pages import Documents
from webrtc_server.web.gate import Gate
from webrtc_server.web.health_api import HealthApi
from webrtc_server.web.info_api import InfoApi
from webrtc_server.web.memory import keep_clear
from webrtc_server.web.metrics_api import MetricsApi
from webrtc_server.web.middleware import HTTP_ERRORS, add_headers, errors, origins
from webrtc_server.web.pages import Pages
from webrtc_server.web.routes import routes_of
from webrtc_server.web.session_api import SessionApi
from webrtc_server.web.view_token_api import ViewTokenApi
from webrtc_server.web.whep_api import WhepApi
from webrtc_server.web.whip_api import WhipApi
from webrtc_server.web.ws_api import WebSocketApi

CODEC_THREADS = 2  # for the pictures of /ws
ENCODER_THREADS = max(2, min(8, os.cpu_count() or 1))  # for WebRTC's video: one frame of a session at a time

logger = get_logger(__name__)

MANAGER: web.AppKey[SessionManager] = web.AppKey("manager", SessionManager)
VIEWERS: web.AppKey[Viewers] = web.AppKey("viewers", Viewers)
SUPERVISOR: web.AppKey[Supervisor] = web.AppKey("supervisor", Supervisor)
METRICS: web.AppKey[MetricsApi] = web.AppKey("metrics", MetricsApi)


def build_app(config: Config, pipeline: str, reason: str, worker_module: str = WORKER_MODULE) -> web.Application:
    """The whole server as an aiohttp application; its worker starts and ends with it. Needs a running event loop."""
    supervisor = Supervisor(_with_fallbacks(pipeline), worker_module, worker_environment(config))
    painters = Painters(supervisor, pipeline, reason, config.model)
    defaults, view_key = config.session_settings(pipeline), key_of(config.owner_token)
    manager = SessionManager(painters, defaults, config.max_sessions, config.queue_length, view_key)
    codec = ThreadPoolExecutor(CODEC_THREADS, "pictures")
    encoding = ThreadPoolExecutor(ENCODER_THREADS, "encode")
    viewers = Viewers()
    clock = LoopClock()
    kbps = config.video_bitrate_kbps
    sending = Sending(encoding, kbps * 1000 if kbps is not None else None)
    reach = Reach.of(config)
    patches.end_consent_checks_with_the_connection()
    patches.forget_what_ends_half_way()
    patches.bound_gathering()
    patches.bound_channels()
    loopback = config.ice_loopback or config.is_local
    patches.refuse_candidates(loopback)
    patches.bound_reflexive_candidates(loopback)
    if loopback:
        patches.offer_loopback()

    async def parts(app: web.Application) -> AsyncIterator[None]:
        release_ports = udp_range.use(asyncio.get_running_loop(), reach.udp_ports) if reach.udp_ports else None
        ticking = asyncio.create_task(clock.run(), name="loop clock")
        clearing = asyncio.create_task(keep_clear(lambda: manager.ended.total() + viewers.ended), name="clear memory")
        supervisor.start()
        manager.start()
        _start_threads(encoding, ENCODER_THREADS)
        encoding.submit(gpu_encodes)  # known before the first session needs it
        yield  # the sessions end before the connections that carry them: see on_shutdown
        if release_ports:
            release_ports()
        await supervisor.close()
        for task in (ticking, clearing):
            task.cancel()
        await asyncio.gather(ticking, clearing, return_exceptions=True)
        codec.shutdown(cancel_futures=True)
        encoding.shutdown(cancel_futures=True)

    gate = Gate(config)
    origin_check = origins(config.allowed_origins, strict=not (config.is_local or config.auth_token))
    app = web.Application(client_max_size=OFFER_BYTES, middlewares=[errors, origin_check, gate.check, compress_files])
    app[MANAGER] = manager
    app[VIEWERS] = viewers
    app[SUPERVISOR] = supervisor
    app[HTTP_ERRORS] = Counter()
    app.on_response_prepare.append(add_headers)
    app.on_shutdown.append(end_sessions)
    app.cleanup_ctx.append(parts)
    sessions = SessionApi(manager, reach, sending, viewers)
    app.add_routes(routes_of(sessions))
    app.add_routes(routes_of(WhipApi(manager, sessions, reach)))
    app.add_routes(routes_of(ViewTokenApi(manager, gate)))
    app.add_routes(routes_of(WhepApi(viewers, reach)))
    app.add_routes(routes_of(WebSocketApi(manager, codec)))
    app.add_routes(routes_of(HealthApi(manager, clock)))
    app[METRICS] = MetricsApi(manager, viewers, clock, app[HTTP_ERRORS])
    if config.metrics:
        app.add_routes(routes_of(app[METRICS]))
    app.add_routes(routes_of(InfoApi(manager, reach)))
    app.add_routes(routes_of(Documents(openapi.text(), asyncapi.text())))
    app.add_routes(Pages().routes())
    return app


async def drain(app: web.Application, seconds: float) -> None:
    """Refuse whoever is new, tell the sessions, and wait up to `seconds` for them to leave."""
    app[VIEWERS].draining = True
    await app[MANAGER].drain(seconds)


async def end_sessions(app: web.Application) -> None:
    """Sessions and viewers, within STOP_TIMEOUT; repeatable."""
    try:
        async with asyncio.timeout(STOP_TIMEOUT):
            await asyncio.gather(app[MANAGER].close(), app[VIEWERS].close())
    except TimeoutError:
        logger.error("not every session ended in time")


def _start_threads(executor: ThreadPoolExecutor, count: int) -> None:
    """All of them now, and none in the middle of a call."""
    all_here = threading.Barrier(count)
    for _ in range(count):
        executor.submit(all_here.wait)


def _with_fallbacks(pipeline: str) -> list[str]:
    """The pipeline asked for, then the others, best first: what one machine cannot load another might."""
    return [pipeline, *(name for name in available() if name != pipeline)]


def worker_environment(config: Config) -> dict[str, str]:
    """What of the configuration is the worker's business."""
    environment: dict[str, str] = {
        VAE_VARIABLE: config.vae,
        ATTENTION_VARIABLE: config.attention,
        FORMAT_VARIABLE: "console" if is_console(config.log_format) else "json",
    }
    if config.gpu_device:  # else the first there is, or what this process was told by CUDA_VISIBLE_DEVICES itself
        environment["CUDA_VISIBLE_DEVICES"] = str(config.gpu_device)
    if config.model is not None:
        environment[MODEL_VARIABLE] = config.model
    if config.model_dir is not None:
        environment[MODEL_DIR_VARIABLE] = config.model_dir
    return environment
