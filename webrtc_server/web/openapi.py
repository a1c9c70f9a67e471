"""The OpenAPI 3.1 document, made of the marks at the handlers (`routes.py`), the models of the bodies, the table of the
errors and the rules of the gate. Served at `/openapi.json`, printed by `live-diffusion schema openapi`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from pydantic.json_schema import JsonSchemaMode, models_json_schema

from pipeline.settings import Settings
from webrtc_server import __version__
from webrtc_server.protocol.bodies import SCHEMAS, Problem
from webrtc_server.protocol.error_codes import TABLE, Code
from webrtc_server.web.docs_pages import Documents
from webrtc_server.web.gate import OPEN, WATCHING
from webrtc_server.web.health_api import HealthApi
from webrtc_server.web.info_api import InfoApi
from webrtc_server.web.metrics_api import MetricsApi
from webrtc_server.web.middleware import PROBLEM, SAFE_METHODS
from webrtc_server.web.pages import FILES, Pages
from webrtc_server.web.routes import PARAMETERS, Answer, Content, Operation, Tag, operations
from webrtc_server.web.session_api import SessionApi
from webrtc_server.web.view_token_api import ViewTokenApi
from webrtc_server.web.whep_api import WhepApi
from webrtc_server.web.whip_api import WhipApi
from webrtc_server.web.ws_api import WebSocketApi

# All whose handlers `app.py` routes.
APIS = (SessionApi, ViewTokenApi, WebSocketApi, WhipApi, WhepApi, InfoApi, HealthApi, MetricsApi, Pages, Documents)
INTRODUCTION = """\
Live Diffusion paints the video of a camera while it is sent. A session is made by `POST /offer` (a browser),
`POST /whip` (OBS and other programs) or `GET /ws` (pictures on a WebSocket), and watched by `POST /whep/{view_id}`.
What is said on the data channel and on the socket stands in `/asyncapi.json`.

Errors are `application/problem+json` (RFC 9457) with a `code` and a `fix`. A request is answered 429 or 503 with
`Retry-After` where it is worth to come again.
"""
TAGS = {
    Tag.SESSIONS: "One client's pictures, settings and state, from connect to close.",
    Tag.WHIP: "Video from OBS, GStreamer and other programs (RFC 9725).",
    Tag.WHEP: "Watching a session (draft-ietf-wish-whep).",
    Tag.SERVER: "What the server can do, and how it is.",
    Tag.PAGES: "What browsers show.",
}
PROBLEM_HEADERS = {  # by status
    401: {"WWW-Authenticate": "`Bearer`"},
    426: {"Upgrade": "`websocket`"},
    429: {"Retry-After": "Seconds."},
    503: {"Retry-After": "Seconds, where there is something to say."},
}
OWNER, VIEWER = "token", "view-token"  # the names of the two kinds of bearer token
SCHEMES = {
    OWNER: "The server's token, `LIVE_DIFFUSION_AUTH_TOKEN`. A server without one asks for none.",
    VIEWER: "A token to watch one session, from `POST /api/sessions/{session_id}/view-token`.",
}


def all_operations() -> Iterator[Operation]:
    for api in APIS:
        yield from (each for _, each in operations(api))
    yield FILES


@cache
def text() -> str:
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def document() -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    for each in all_operations():
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each)
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "Live Diffusion",
            "version": __version__,
            "description": INTRODUCTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "Where this document comes from."}],
        "tags": [{"name": tag, "description": description} for tag, description in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                name: {"type": "http", "scheme": "bearer", "description": description}
                for name, description in SCHEMES.items()
            },
        },
    }


def _operation(each: Operation) -> dict[str, Any]:
    answers = {str(status): _response(answer, each.links) for status, answer in each.gives.items()}
    problems = {str(status): _problem(status, codes) for status, codes in _problems(each).items()}
    made = {
        "operationId": each.id,
        "summary": each.summary,
        "description": each.description,
        "tags": [each.tag],
        "parameters": list(_parameters(each)),
        "responses": answers | problems,
    }
    if each.takes:
        made["requestBody"] = {"required": True, "content": _content(each.takes)}
    return _without_empty(made) | {"security": security(each)}


def security(each: Operation) -> list[dict[str, list[str]]]:
    """Any one of them will do; none is asked for where it is empty."""
    if gate_key(each) in OPEN:
        return []
    return [{OWNER: []}, {VIEWER: []}] if gate_key(each) in WATCHING else [{OWNER: []}]


def gate_key(each: Operation) -> str:
    """The path as the gate knows it, aiohttp's canonical one."""
    return "/static" if each is FILES else each.path


def codes(each: Operation) -> set[Code]:
    """All errors that it may be answered with: its own, those of reading a body, and those of who may ask."""
    found = {*each.errors, Code.INTERNAL}
    if each.takes:
        found |= {Code.BAD_MESSAGE, Code.TOO_LARGE, Code.UNSUPPORTED_MEDIA_TYPE}
    if gate_key(each) not in OPEN:
        found |= {Code.UNAUTHORIZED, Code.HOST_DENIED, Code.RATE_LIMITED}
    if each.method not in SAFE_METHODS or each.path == "/ws":
        found.add(Code.ORIGIN_DENIED)
    return found


def _problems(each: Operation) -> dict[int, list[Code]]:
    by_status: dict[int, list[Code]] = {}
    for code in sorted(codes(each)):
        by_status.setdefault(TABLE[code].status, []).append(code)
    return dict(sorted(by_status.items()))


def _problem(status: int, codes: list[Code]) -> dict[str, Any]:
    schema = {
        "allOf": [{"$ref": f"{SCHEMAS}{Problem.__name__}"}],
        "properties": {"code": {"enum": [str(code) for code in codes]}},
    }
    words = " ".join(f"`{code}`: {TABLE[code].message}" for code in codes)
    made = {
        "description": words,
        "headers": _headers(PROBLEM_HEADERS.get(status, {})),
        "content": {PROBLEM: {"schema": schema}},
    }
    return _without_empty(made)


def _response(answer: Answer, links: tuple[str, ...]) -> dict[str, Any]:
    made = {
        "description": answer.description,
        "headers": _headers(answer.headers),
        "content": _content(answer.body) if answer.body else {},
        "links": {
            name: {"operationId": name, "parameters": {"session_id": "$response.body#/session_id"}} for name in links
        },
    }
    return _without_empty(made)


def _headers(headers: Mapping[str, str]) -> dict[str, Any]:
    return {name: {"description": words, "schema": {"type": "string"}} for name, words in headers.items()}


def _content(content: Content) -> dict[str, Any]:
    schema: Mapping[str, Any]
    if content.model:
        schema = {"$ref": f"{SCHEMAS}{content.model.__name__}"}
    else:
        schema = content.schema or {"type": "string"}
    return {content.media_type: _without_empty({"schema": schema, "example": content.example})}


def _parameters(each: Operation) -> Iterator[dict[str, Any]]:
    for name in re.findall(r"{(\w+)}", each.path):
        schema = {"type": "string", "minLength": 1}
        if name in each.patterns:
            schema["pattern"] = f"^{each.patterns[name]}$"
        yield {"name": name, "in": "path", "required": True, "description": PARAMETERS[name], "schema": schema}
    for name, more in each.query.items():
        yield {"name": name, "in": "query", **more}
    if each.if_match:
        yield {"name": "If-Match", "in": "header", "description": each.if_match, "schema": {"type": "string"}}


def _without_empty(made: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in made.items() if value}


def _schemas() -> dict[str, Any]:
    """Of all models: what is taken as it is checked, what is given as it is written. The settings in them, which are
    checked in a place of their own, are said to be settings."""
    modes: dict[Any, JsonSchemaMode] = {Problem: "serialization"}
    for each in all_operations():
        if each.takes and each.takes.model:
            modes[each.takes.model] = "validation"
        for answer in each.gives.values():
            if answer.body and answer.body.model:
                modes[answer.body.model] = "serialization"
    _, made = models_json_schema(list(modes.items()), ref_template=SCHEMAS + "{model}")
    schemas: dict[str, Any] = made["$defs"]
    settings = {"$ref": f"{SCHEMAS}{Settings.__name__}"}
    schemas["OfferBody"]["properties"]["settings"] |= {"anyOf": [settings, {"type": "null"}]}
    schemas["SettingsAppliedData"]["properties"]["settings"] = settings
    return dict(sorted(schemas.items()))
