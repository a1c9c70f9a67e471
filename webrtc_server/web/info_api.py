"""What anyone may know: what the server can do, the settings' schema. Never another user's identifiers."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib import metadata
from typing import Any, Literal

from aiohttp import web

from pipeline.settings import Settings
from webrtc_server.protocol.bodies import IceServerEntry, IceServerList, ModelChoice, ModelList, ServerStatus, Version
from webrtc_server.rtc.reach import Reach
from webrtc_server.sessions.manager import SessionManager
from webrtc_server.web.routes import JSON, Answer, Content, Operation, Tag, answer

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

    @Operation(
        "serverStatus",
        "GET",
        "/api/status",
        "What the server does",
        tag=Tag.SERVER,
        gives={200: Answer("As it is now.", Content(model=ServerStatus))},
    )
    async def status(self, request: web.Request) -> web.Response:
        """What it paints with and why, how many sessions it has, and how many wait in line."""
        painters = self._painters
        if painters.supervisor.state.phase == "ready":
            state: Literal["running", "loading", "degraded"] = "running"
        else:
            state = "degraded" if painters.failure or painters.ever_ready else "loading"
        return answer(
            ServerStatus(
                state=state,
                pipeline=painters.default,
                reason=painters.reason,
                pipelines=painters.available,
                device=painters.device(painters.default),
                model=painters.models.loaded,
                models=list(painters.models.choices()),
                sessions=len(self._manager.sessions),
                max_sessions=self._manager.places,
                queued=len(self._manager.admission.waiting),
                worker_restarts=painters.supervisor.restarts,
                version=version(),
            )
        )

    @Operation(
        "settingsSchema",
        "GET",
        "/api/settings/schema",
        "The JSON Schema of the settings",
        tag=Tag.SERVER,
        gives={200: Answer("A schema as of JSON Schema 2020-12.", Content(schema={"type": "object"}))},
    )
    async def schema(self, request: web.Request) -> web.Response:
        """The JSON Schema of the settings, with the pipelines and defaults of this very server."""
        schema = _schema(self._manager.default_settings().model_dump_json(), tuple(self._painters.available.items()))
        return web.Response(text=schema, content_type=JSON)

    @Operation(
        "listModels",
        "GET",
        "/api/models",
        "The models that can be loaded",
        tag=Tag.SERVER,
        gives={200: Answer("All of them.", Content(model=ModelList))},
    )
    async def models(self, request: web.Request) -> web.Response:
        """What `load_model` can be asked for; of the operator's own model nothing but the name is known."""
        models = self._painters.models
        choices = [
            ModelChoice(
                key=key,
                title=choice.title,
                licence=choice.spec.licence if choice.spec else "",
                notice=choice.spec.notice if choice.spec else "",
                steps=choice.spec.steps if choice.spec else None,
                cfg_type=choice.spec.cfg_type if choice.spec else None,
                loaded=key == models.loaded,
            )
            for key, choice in models.choices().items()
        ]
        return answer(ModelList(models=choices))

    @Operation(
        "iceServers",
        "GET",
        "/api/ice",
        "The STUN and TURN servers to use",
        tag=Tag.SERVER,
        gives={200: Answer("A configuration of RTCPeerConnection.", Content(model=IceServerList))},
    )
    async def ice(self, request: web.Request) -> web.Response:
        """For `RTCPeerConnection`; a TURN password in it is made for this answer."""
        servers = [
            IceServerEntry(urls=list(server.urls), username=server.username, credential=server.credential)
            for server in self._reach.ice_servers()
        ]
        return answer(IceServerList(iceServers=servers), headers={"Cache-Control": "no-store"})

    @Operation(
        "version",
        "GET",
        "/api/version",
        "Versions of server and protocol",
        tag=Tag.SERVER,
        gives={200: Answer("Both.", Content(model=Version))},
    )
    async def version(self, request: web.Request) -> web.Response:
        """`protocol` changes when a client that speaks the older one would not understand."""
        return answer(Version(version=version(), protocol=1))
