"""The AsyncAPI 3.0 document of the data channel `control` and of `/ws`, made of the messages' own models. Pure.

Served at `/asyncapi.json`, printed by `live-diffusion schema asyncapi`.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from pydantic.json_schema import JsonSchemaMode, models_json_schema

from pipeline.settings import Settings
from webrtc_server import __version__
from webrtc_server.limits import DATA_CHANNEL_LABEL, IMAGE_BYTES, MESSAGE_ID_CHARS
from webrtc_server.protocol.bodies import CLIENT_ID_LIMITS, CLIENT_ID_TEXT, SCHEMAS
from webrtc_server.protocol.messages import CLIENT_TYPES, SERVER_TYPES

# What each message of a client is answered with; any of them may be answered with `error`.
REPLIES = {
    "settings": ["settings_applied"],
    "get_status": ["status"],
    "subscribe_stats": ["stats_subscribed"],
    "load_model": ["status"],
    "ping": ["pong"],
    "picture": ["processed_frame", "painted_picture"],
}
QUERY = {  # of `/ws`
    "type": "object",
    "properties": {
        "client_id": {"type": "string", **CLIENT_ID_LIMITS, "description": CLIENT_ID_TEXT},
    },
}
UNASKED = ["status", "error", "stats"]  # what the server says of itself
INTRODUCTION = f"""\
The data channel `{DATA_CHANNEL_LABEL}` of a WebRTC session and the text messages of `/ws` carry the same JSON: `type`,
`data`, and an `id` of the client's own, which comes back in the reply. On `/ws` pictures travel beside it, as binary
messages. How a session begins stands in `/openapi.json`.
"""
SUMMARIES = {
    "settings": "Change settings: any of them, all of the message or nothing of it.",
    "get_status": "Ask how the session is.",
    "subscribe_stats": "Ask for figures again and again, or no longer.",
    "load_model": "Ask for another model, for all sessions.",
    "ping": "Ask for a sign of life; it is one of the client's, too.",
    "status": "How the session is; first on every connection and at every change.",
    "settings_applied": "The settings are in force, or being rebuilt.",
    "error": "What went wrong, and what to do; the session goes on.",
    "processed_frame": "Of `/ws`: describes the binary message that follows it.",
    "stats_subscribed": "How often the figures will come.",
    "stats": "Figures of the session.",
    "pong": "The answer to a ping.",
}


@cache
def text() -> str:
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def document() -> dict[str, Any]:
    schemas = _schemas()
    sent, heard = list(CLIENT_TYPES.values()), list(SERVER_TYPES.values())
    on_channel = [kind for kind in heard if kind != "processed_frame"]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Live Diffusion: messages of a session",
            "version": __version__,
            "description": INTRODUCTION,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "http": {
                "host": "localhost:8000",
                "protocol": "ws",
                "description": "Where the server was started; `wss` behind TLS.",
                "security": [{"$ref": "#/components/securitySchemes/token"}],
            },
            "peer": {
                "host": "localhost:8000",
                "protocol": "webrtc",
                "description": "The peer connection that the answer to `POST /offer` makes.",
            },
        },
        "channels": {
            "socket": {
                "address": "/ws",
                "title": "WebSocket",
                "servers": [{"$ref": "#/servers/http"}],
                "messages": _messages([*sent, "picture", *heard, "painted_picture"]),
                "bindings": {"ws": {"method": "GET", "query": QUERY}},
            },
            "control": {
                "address": None,
                "title": f"Data channel `{DATA_CHANNEL_LABEL}`",
                "description": "Opened by the client, of any reliability, in the offer to `POST /offer`. Text only.",
                "servers": [{"$ref": "#/servers/peer"}],
                "messages": _messages([*sent, *on_channel]),
            },
        },
        "operations": {
            **{f"{channel}_{kind}": _asked(channel, kind) for channel in ("socket", "control") for kind in sent},
            "socket_picture": _asked("socket", "picture"),
            **{
                f"{channel}_tells_{kind}": _says(channel, kind) for channel in ("socket", "control") for kind in UNASKED
            },
        },
        "components": {
            "messages": {
                **{kind: _message(kind, model.__name__) for model, kind in CLIENT_TYPES.items()},
                **{kind: _message(kind, _envelope(kind)) for kind in heard},
                "picture": _picture("A picture to paint.", f"A whole JPEG or PNG file of at most {IMAGE_BYTES} bytes."),
                "painted_picture": _picture(
                    "The painted picture.", "In the format it came in; a `processed_frame` comes right before it."
                ),
            },
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Where the server has a token: in the header Authorization, or as a sub-protocol, "
                    "`live-diffusion, bearer.BASE64URL`.",
                }
            },
        },
    }


def _schemas() -> dict[str, Any]:
    """Of the messages and all that is in them; the settings in them, which are checked in a place of their own, are
    said to be settings."""
    modes: dict[Any, JsonSchemaMode] = {Settings: "validation"}
    modes |= dict.fromkeys(CLIENT_TYPES, "validation")
    modes |= dict.fromkeys(SERVER_TYPES, "serialization")
    _, made = models_json_schema(list(modes.items()), ref_template=SCHEMAS + "{model}")
    schemas: dict[str, Any] = made["$defs"]
    settings = {"$ref": f"{SCHEMAS}{Settings.__name__}"}
    for name, field in (("SettingsMessage", "data"), ("StatusData", "settings"), ("SettingsAppliedData", "settings")):
        schemas[name]["properties"][field] = settings
    for data, kind in SERVER_TYPES.items():
        schemas[_envelope(kind)] = {
            "type": "object",
            "properties": {
                "type": {"const": kind},
                "data": {"$ref": f"{SCHEMAS}{data.__name__}"},
                "id": {"type": "string", "minLength": 1, "maxLength": MESSAGE_ID_CHARS},
            },
            "required": ["type", "data"],
            "additionalProperties": False,
        }
    return dict(sorted(schemas.items()))


def _envelope(kind: str) -> str:
    """The name of the schema of a whole message of the server."""
    return f"{kind.title().replace('_', '')}Envelope"


def _message(kind: str, schema: str) -> dict[str, Any]:
    return {"name": kind, "title": kind, "summary": SUMMARIES[kind], "payload": {"$ref": f"{SCHEMAS}{schema}"}}


def _picture(summary: str, description: str) -> dict[str, Any]:
    return {
        "summary": summary,
        "description": description,
        "contentType": "image/jpeg, image/png",
        "payload": {"type": "string", "format": "binary"},
    }


def _messages(kinds: list[str]) -> dict[str, Any]:
    return {kind: {"$ref": f"#/components/messages/{kind}"} for kind in kinds}


def _asked(channel: str, kind: str) -> dict[str, Any]:
    """What a client says; the server receives it, from whose side these documents are written."""
    return _operation("receive", channel, [kind]) | {
        "reply": {"channel": _channel(channel), "messages": _in(channel, [*REPLIES[kind], "error"])}
    }


def _says(channel: str, kind: str) -> dict[str, Any]:
    return _operation("send", channel, [kind])


def _operation(action: str, channel: str, kinds: list[str]) -> dict[str, Any]:
    return {"action": action, "channel": _channel(channel), "messages": _in(channel, kinds)}


def _channel(name: str) -> dict[str, str]:
    return {"$ref": f"#/channels/{name}"}


def _in(channel: str, kinds: list[str]) -> list[dict[str, str]]:
    return [{"$ref": f"#/channels/{channel}/messages/{kind}"} for kind in kinds]
