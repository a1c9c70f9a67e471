"""`GET /metrics` for Prometheus: asks everybody what they have counted, when it is asked, and not before.

What the metrics are says `observe/metrics.py`, the form is `prometheus_client`'s business: the text format, which knows
`live_diffusion_sessions` and `live_diffusion_sessions_total` apart, as OpenMetrics does not. The registry is this
application's own, and not the library's, which is one for the whole process.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from aiohttp import web
from prometheus_client import CollectorRegistry, Metric, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from webrtc_server.observe.loop_clock import LoopClock
from webrtc_server.observe.metrics import Facts, families
from webrtc_server.sessions.manager import SessionManager
from webrtc_server.sessions.viewers import Viewers
from webrtc_server.web.info_api import version
from webrtc_server.web.routes import Answer, Content, Operation, Tag


class MetricsApi:
    """`http_errors` counts by code the problems that requests were answered with."""

    def __init__(self, manager: SessionManager, viewers: Viewers, clock: LoopClock, http_errors: Counter[str]) -> None:
        self._manager = manager
        self._viewers = viewers
        self._clock = clock
        self._http_errors = http_errors
        self.registry = CollectorRegistry()
        self.registry.register(self)
        ProcessCollector(registry=self.registry)

    @Operation(
        "metrics",
        "GET",
        "/metrics",
        "Figures for Prometheus",
        tag=Tag.SERVER,
        gives={200: Answer("All of them as they are now.", Content("text/plain"))},
    )
    async def metrics(self, request: web.Request) -> web.Response:
        """In the text format, with the names of docs/reference/metrics.md. Setting: `metrics`."""
        answer = web.Response(body=generate_latest(self.registry), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})
        answer.enable_compression()
        return answer

    def collect(self) -> Iterable[Metric]:
        """Called by the registry for each scrape."""
        return [family.metric() for family in families(self._facts())]

    def _facts(self) -> Facts:
        manager, admission = self._manager, self._manager.admission
        supervisor = manager.painters.supervisor
        state, queues = supervisor.state, Counter[str]()
        for session in manager.sessions.values():
            queues.update(session.queues())
        return Facts(
            version=version(),
            counted=manager.counted(),
            viewed=self._viewers.counted(),
            ended=manager.ended,
            http_errors=self._http_errors,
            sessions={
                "painted": len(admission.running),
                "queued": len(admission.waiting),
                "connecting": len(admission.pending),
            },
            places=manager.places,
            line_places=admission.queue_length,
            viewers=self._viewers.watching,
            queues=queues,
            phase=state.phase,
            pipeline=state.pipeline,
            model=state.model,
            device=state.devices.get(state.pipeline, "") if state.pipeline else "",
            load_seconds=supervisor.load_seconds,
            restarts=supervisor.restarts,
            lags=self._clock.lags,
        )
