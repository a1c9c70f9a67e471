"""The AsyncAPI document: it is valid, and what a real session says and hears is as it says."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any

import jsonschema_rs
import pytest
from PIL import Image
from websockets.asyncio.client import connect

from run import ROOT
from tests.conftest import StartServer
from tests.fakes.rtc_client import RtcClient
from webrtc_server.protocol import asyncapi
from webrtc_server.protocol.messages import CLIENT_TYPES, SERVER_TYPES

SPECIFICATION = ROOT / "node_modules" / "@asyncapi" / "specs" / "schemas" / "3.0.0.json"
SENT: list[dict[str, Any]] = [
    {"type": "get_status", "id": "a"},
    {"type": "settings", "data": {"prompt": "ink", "prompts": None, "steps": 2}},
    {"type": "subscribe_stats", "data": {"interval_s": 0.5}},
    {"type": "load_model", "data": {"model": "no such model"}, "id": "b"},
    {"type": "ping", "data": {"t": 1}},
]


def check(message: dict[str, Any]) -> None:
    """Against the schema of its own message. Raises jsonschema_rs.ValidationError."""
    document = json.loads(asyncapi.text())
    schema = {"components": document["components"], "$ref": f"#/components/messages/{message['type']}/payload"}
    jsonschema_rs.Draft202012Validator(schema).validate(message)


def test_it_is_valid() -> None:
    if not SPECIFICATION.exists():
        pytest.skip("no @asyncapi/specs here; npm ci brings it")
    jsonschema_rs.Draft7Validator(json.loads(SPECIFICATION.read_text())).validate(json.loads(asyncapi.text()))


def test_every_reference_leads_somewhere() -> None:
    document = json.loads(asyncapi.text())

    def references(value: object) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return own + [found for each in value.values() for found in references(each)]
        return [found for each in value for found in references(each)] if isinstance(value, list) else []

    for reference in references(document):
        place = document
        for key in reference.removeprefix("#/").split("/"):
            place = place[key]


def test_it_has_every_message() -> None:
    document = json.loads(asyncapi.text())
    kinds = {*CLIENT_TYPES.values(), *SERVER_TYPES.values()}
    assert set(document["components"]["messages"]) == kinds | {"picture", "painted_picture"}
    assert set(document["channels"]["socket"]["messages"]) == kinds | {"picture", "painted_picture"}
    assert set(document["channels"]["control"]["messages"]) == kinds - {"processed_frame"}


async def test_a_session_over_webrtc_speaks_as_documented(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with RtcClient(server.url, 320, 240) as client:
        await client.frames(1)
        for message in SENT:
            check(message)
            client.send_text(json.dumps(message))
        wanted = set(SERVER_TYPES.values()) - {"processed_frame"}
        await client.until(lambda: wanted <= {message["type"] for message in client.messages})
        for message in client.messages:
            check(message)


async def test_a_session_over_a_socket_speaks_as_documented(start_server: StartServer) -> None:
    server = await start_server("identity")
    picture = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(picture, "JPEG")
    heard: set[str] = set()
    async with connect(f"{server.url.replace('http', 'ws')}/ws") as socket, asyncio.timeout(10):
        for message in SENT:
            await socket.send(json.dumps(message))
        await socket.send(picture.getvalue())
        while not set(SERVER_TYPES.values()) <= heard:
            text = await socket.recv()
            if isinstance(text, str):
                check(message := json.loads(text))
                heard.add(message["type"])


@pytest.mark.parametrize(
    "message",
    [
        {"type": "ping", "data": {"t": "soon"}},
        {"type": "settings", "data": {"steps": 9}},
        {"type": "settings", "data": {"colour": 1}},
        {"type": "subscribe_stats", "data": {"interval_s": 11}},
        {"type": "load_model", "data": {"model": ""}},
        {"type": "get_status", "id": ""},
        {"type": "status", "data": {}},
        {"type": "pong", "data": {"t": 1, "server_time": 1}, "more": 1},
    ],
    ids=str,
)
def test_it_refuses_what_is_none(message: dict[str, Any]) -> None:
    with pytest.raises(jsonschema_rs.ValidationError):
        check(message)
