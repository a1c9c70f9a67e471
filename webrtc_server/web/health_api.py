"""`GET /healthz` and `GET /readyz`, for whoever restarts servers and sends users to them. Decides nothing itself."""

from __future__ import annotations

import time

from aiohttp import web

from webrtc_server.observe.loop_clock import LoopClock
from webrtc_server.protocol.bodies import Health, LoopLag, NotReady, Readiness
from webrtc_server.protocol.readiness import ServerFacts, alive, not_ready
from webrtc_server.sessions.manager import SessionManager
from webrtc_server.web.routes import Answer, Content, Operation, Tag, answer


class HealthApi:
    def __init__(self, manager: SessionManager, clock: LoopClock) -> None:
        self._manager = manager
        self._clock = clock

    @Operation(
        "health",
        "GET",
        "/healthz",
        "Is the server alive?",
        tag=Tag.SERVER,
        gives={200: Answer("Yes.", Content(model=Health)), 503: Answer("No: restart it.", Content(model=Health))},
    )
    async def health(self, request: web.Request) -> web.Response:
        """200 while the event loop turns, else 503; how old its last tick is, and how late they were of late."""
        age = self._clock.age(time.monotonic())
        well = alive(age)
        lag = LoopLag(p50=_rounded(self._clock.lag(50)), p99=_rounded(self._clock.lag(99)))
        body = Health(status="ok" if well else "stalled", tick_age_s=round(age, 3), loop_lag_ms=lag)
        return answer(body, 200 if well else 503)

    @Operation(
        "readiness",
        "GET",
        "/readyz",
        "Would a new session be painted now?",
        tag=Tag.SERVER,
        gives={200: Answer("Yes.", Content(model=Readiness)), 503: Answer("No, and why.", Content(model=Readiness))},
    )
    async def ready(self, request: web.Request) -> web.Response:
        """200 if a new session would be taken and painted now, otherwise 503 with the reasons."""
        manager, painters, now = self._manager, self._manager.painters, time.monotonic()
        facts = ServerFacts(
            manager.draining,
            painters.failure,
            painters.failure_code,
            painters.supervisor.state.phase,
            manager.refusal(),
            tuple(flow for session in manager.sessions.values() if (flow := session.flow(now))),
        )
        reasons = [NotReady(code=code, detail=detail) for code, detail in not_ready(facts, now)]
        return answer(Readiness(ready=not reasons, reasons=reasons), 503 if reasons else 200)


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 2)
