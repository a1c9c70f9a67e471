"""`GET /healthz` and `GET /readyz`, for whoever restarts servers and sends users to them. Decides nothing itself."""

from __future__ import annotations

import time

from aiohttp import web

from webrtc_server.observe.loop_clock import LoopClock
from webrtc_server.protocol.readiness import ServerFacts, alive, not_ready
from webrtc_server.sessions.manager import SessionManager


class HealthApi:
    def __init__(self, manager: SessionManager, clock: LoopClock) -> None:
        self._manager = manager
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/healthz", self.health), web.get("/readyz", self.ready)]

    async def health(self, request: web.Request) -> web.Response:
        """200 while the event loop turns, else 503; how old its last tick is, and how late they were of late."""
        age = self._clock.age(time.monotonic())
        well = alive(age)
        lag = {f"p{percent}": _rounded(self._clock.lag(percent)) for percent in (50, 99)}
        body = {"status": "ok" if well else "stalled", "tick_age_s": round(age, 3), "loop_lag_ms": lag}
        return web.json_response(body, status=200 if well else 503)

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
        reasons = [{"code": code, "detail": detail} for code, detail in not_ready(facts, now)]
        return web.json_response({"ready": not reasons, "reasons": reasons}, status=503 if reasons else 200)


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 2)
