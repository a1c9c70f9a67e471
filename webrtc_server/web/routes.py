"""What a route is: method, path, and in words and models what it takes and gives. Said once, at the handler.

`@Operation(...)` marks a method of one of the `*_api` classes; `routes_of` makes aiohttp's routes of the marked ones,
and `openapi.py` makes the document of the same marks. So nothing is routed that is not documented, nor the other way.
Who may ask is not said here: `gate.py` decides that, and the document asks it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from inspect import cleandoc
from typing import Any, TypeVar

from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import BaseModel

from webrtc_server.protocol.bodies import CLIENT_ID_LIMITS, CLIENT_ID_TEXT, SCHEMAS
from webrtc_server.protocol.error_codes import Code

H = TypeVar("H", bound=Callable[..., Awaitable[web.StreamResponse]])

_MARK = "__operation__"
JSON = "application/json"
HTML = "text/html"
CLIENT_ID = {"description": CLIENT_ID_TEXT, "schema": {"type": "string", **CLIENT_ID_LIMITS}}


class Tag(StrEnum):
    """What the operations are listed under."""

    SESSIONS = "Sessions"
    WHIP = "WHIP"
    WHEP = "WHEP"
    SERVER = "Server"
    PAGES = "Pages and documents"


# What stands in curly brackets in the paths.
PARAMETERS = {
    "session_id": "The session's secret, from the answer that made it.",
    "view_id": "What grants watching a session.",
    "viewer_id": "The viewer's secret, from the Location that made it.",
    "file": "A file of the page; it may be in a folder.",
}


@dataclass(frozen=True)
class Content:
    """A body: its media type, and its model or schema where it is JSON."""

    media_type: str = JSON
    model: type[BaseModel] | None = None
    schema: Mapping[str, Any] = field(default_factory=dict)  # where there is no model
    example: object = None


@dataclass(frozen=True)
class Answer:
    """A response that is no problem. `headers`: names, each with what it says."""

    description: str
    body: Content | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Operation:
    """A method of a path, as a decorator of its handler, whose docstring is the description.

    `errors` are those of its own; what the gate and the reading of a body refuse, the document adds by itself.
    """

    id: str
    method: str
    path: str  # as OpenAPI and aiohttp write it, `/view/{view_id}`
    summary: str
    tag: Tag
    gives: Mapping[int, Answer]
    errors: tuple[Code, ...] = ()
    takes: Content | None = None
    query: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # name -> more of its Parameter Object
    if_match: str = ""  # what the header names, where it is heeded
    patterns: Mapping[str, str] = field(default_factory=dict)  # of path parameters, as regular expressions
    links: tuple[str, ...] = ()  # ids of operations that take the `session_id` of the answer
    head: bool = True  # whether HEAD is answered as GET is (RFC 9110 section 9.3.2)
    description: str = ""

    def __call__(self, handler: H) -> H:
        setattr(handler, _MARK, replace(self, description=cleandoc(handler.__doc__ or "")))
        return handler

    def route(self, handler: Handler) -> web.RouteDef:
        path = re.sub(r"{(\w+)}", self._segment, self.path)
        if self.method == "GET":
            return web.get(path, handler, allow_head=self.head)
        return web.route(self.method, path, handler)

    def _segment(self, match: re.Match[str]) -> str:
        pattern = self.patterns.get(match[1])
        return f"{{{match[1]}:{pattern}}}" if pattern else match[0]


def operations(api: type) -> Iterator[tuple[str, Operation]]:
    """The marked methods of a class, by name, in the order of its source."""
    for name, value in vars(api).items():
        if isinstance(mark := getattr(value, _MARK, None), Operation):
            yield name, mark


def routes_of(api: object) -> list[web.RouteDef]:
    """For `Application.add_routes`."""
    return [each.route(getattr(api, name)) for name, each in operations(type(api))]


def query_of(model: type[BaseModel]) -> dict[str, dict[str, Any]]:
    """The fields of a model as query parameters: numbers and texts as they are, lists as JSON."""
    parameters = {}
    for name, found in model.model_json_schema()["properties"].items():
        schema = {"schema": {"$ref": f"{SCHEMAS}{model.__name__}/properties/{name}"}}
        parameters[name] = {"description": found["description"]} | (
            schema if "type" in found else {"content": {JSON: schema}}
        )
    return parameters


def answer(body: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A model as a JSON response."""
    return web.Response(text=body.model_dump_json(), status=status, headers=headers, content_type=JSON)
