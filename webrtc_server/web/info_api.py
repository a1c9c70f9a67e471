"""What anyone may know: what the server can do, the settings' schema. Never another user's identifiers."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib import metadata
from typing import Any

from aiohttp import web

from pipeline.settings import Settings
from webrtc_server.rtc.reach import Reach
from webrtc_server.sessions.manager import SessionManager

DISTRIBUTION = "live-diffusion"


def version() -> str:
    """Of the installed distribution; a checkout that is not installed has none."""
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "checkout"


@lru_cache(maxsize=1)  # anybody may ask, and pydantic takes 6 ms for it; it changes with a pipeline that is gone
def _schema(defaults: str, titles: tuple[tuple[str, str], ...]) -> str:
    schema: dict[str, Any] = Settings.model_json_schema()
    for name, default in json.loads(defaults).items():
        schema["properties"][name]["default"] = default
    schema["properties"]["pipeline"] |= {"enum": [name for name, _ in titles], "x-titles": dict(titles)}
    return json.dumps(schema)


class InfoApi:
    def __init__(self, manager: SessionManager, reach: Reach) -> None:
        self._manager = manager
        self._painters = manager.painters
        self._reach = reach

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/status", self.status),
            web.get("/api/settings/schema", self.schema),
            web.get("/api/models", self.models),
            web.get("/api/ice", self.ice),
            web.get("/api/version", self.version),
        ]

    async def status(self, request: web.Request) -> web.Response:
        painters = self._painters
        not_ready = "degraded" if painters.failure or painters.ever_ready else "loading"
        return web.json_response(
            {
                "state": "running" if painters.supervisor.state.phase == "ready" else not_ready,
                "pipeline": self._painters.default,
                "reason": self._painters.reason,
                "pipelines": self._painters.available,
                "device": self._painters.device(self._painters.default),
                "model": self._painters.models.loaded,
                "models": list(self._painters.models.choices()),
                "sessions": len(self._manager.sessions),
                "max_sessions": self._manager.places,
                "queued": len(self._manager.admission.waiting),
                "worker_restarts": self._painters.supervisor.restarts,
                "version": version(),
            }
        )

    async def schema(self, request: web.Request) -> web.Response:
        """The JSON Schema of the settings, with the pipelines and defaults of this very server."""
        schema = _schema(self._manager.default_settings().model_dump_json(), tuple(self._painters.available.items()))
        return web.Response(text=schema, content_type="application/json")

    async def models(self, request: web.Request) -> web.Response:
        """What `load_model` can be asked for; of the operator's own model nothing but the name is known."""
        models = self._painters.models
        return web.json_response(
            {
                "models": [
                    {
                        "key": key,
                        "title": choice.title,
                        "licence": choice.spec.licence if choice.spec else "",
                        "notice": choice.spec.notice if choice.spec else "",
                        "steps": choice.spec.steps if choice.spec else None,
                        "cfg_type": choice.spec.cfg_type if choice.spec else None,
                        "loaded": key == models.loaded,
                    }
                    for key, choice in models.choices().items()
                ]
            }
        )

    async def ice(self, request: web.Request) -> web.Response:
        """For `RTCPeerConnection`; a TURN password in it is made for this answer."""
        servers = [
            {"urls": list(server.urls)}
            | ({"username": server.username, "credential": server.credential} if server.username else {})
            for server in self._reach.ice_servers()
        ]
        return web.json_response({"iceServers": servers}, headers={"Cache-Control": "no-store"})

    async def version(self, request: web.Request) -> web.Response:
        return web.json_response({"version": version(), "protocol": 1})
