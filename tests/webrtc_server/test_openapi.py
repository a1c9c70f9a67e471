"""The OpenAPI document: it is valid, has every route, says of who may ask what the gate does, and its examples work."""

from __future__ import annotations

import argparse
import gzip
import json
import re
import shlex
from typing import Any

import aiohttp
import openapi_spec_validator
from aiohttp import web

from run import ROOT
from tests.conftest import StartServer
from tests.fakes.rtc_client import RtcClient
from webrtc_server.protocol import asyncapi
from webrtc_server.protocol.error_codes import Code
from webrtc_server.web import openapi

CURL = argparse.ArgumentParser()
CURL.add_argument("-X", dest="method", default="GET")
CURL.add_argument("-H", dest="header", action="append", default=[])
CURL.add_argument("-d", dest="data")
CURL.add_argument("url")
METHODS = {"get", "post", "patch", "delete", "options"}


def described() -> list[tuple[str, str, dict[str, Any]]]:
    """Method, path and Operation Object of all that the document has."""
    paths = json.loads(openapi.text())["paths"]
    return [(method.upper(), path, each) for path, item in paths.items() for method, each in item.items()]


def test_it_is_valid() -> None:
    openapi_spec_validator.validate(json.loads(openapi.text()), cls=openapi_spec_validator.OpenAPIV31SpecValidator)


def test_operations_have_names_of_their_own_and_say_what_they_are() -> None:
    ids = [each.id for each in openapi.all_operations()]
    assert len(ids) == len(set(ids))
    for method, path, each in described():
        assert method.lower() in METHODS
        assert each["summary"]
        assert "500" in each["responses"], path


def test_problems_name_their_codes() -> None:
    document = json.loads(openapi.text())
    assert document["components"]["schemas"]["Code"]["enum"] == [str(code) for code in Code]
    problem = document["paths"]["/offer"]["post"]["responses"]["415"]["content"]["application/problem+json"]
    assert problem["schema"]["properties"]["code"]["enum"] == ["unsupported_media_type"]


async def test_it_has_every_route_of_the_application(start_server: StartServer) -> None:
    server = await start_server("identity")
    routed = set()
    for route in server.app.router.routes():
        assert route.resource is not None
        path = route.resource.canonical
        if route.method != "HEAD":  # as GET (RFC 9110 section 9.3.2)
            routed.add((route.method, f"{path}/{{file}}" if isinstance(route.resource, web.StaticResource) else path))
    assert routed == {(method, path) for method, path, _ in described()}


async def test_who_needs_a_token_is_who_the_gate_asks(start_server: StartServer) -> None:
    server = await start_server("identity", auth_token="a" * 16)
    async with aiohttp.ClientSession(server.url) as http:
        for each in openapi.all_operations():
            path = re.sub(r"{\w+}", "some", each.path).replace("/static/some", "/static/icon.svg")
            async with http.request(each.method, path) as response:
                assert (response.status == 401) == bool(openapi.security(each)), path


async def test_what_a_view_token_opens(start_server: StartServer) -> None:
    server = await start_server("identity", auth_token="a" * 16)
    owner = {"Authorization": f"Bearer {'a' * 16}"}
    async with RtcClient(server.url, token="a" * 16) as client, aiohttp.ClientSession(server.url) as http:
        place = f"/api/sessions/{client.answer['session_id']}"
        async with http.post(f"{place}/view-token", headers=owner) as response:
            viewer = {"Authorization": f"Bearer {(await response.json())['view_token']}"}
        ids = {"session_id": "some", "viewer_id": "some", "view_id": client.answer["view_id"]}
        for each in openapi.all_operations():
            if wanted := openapi.security(each):
                path = each.path.format(**ids)
                async with http.request(each.method, path, headers=viewer) as response:
                    assert (response.status != 401) == ({openapi.VIEWER: []} in wanted), path


async def test_documents_and_pages_need_no_token_and_documents_travel_packed(start_server: StartServer) -> None:
    server = await start_server("identity", auth_token="a" * 16)
    async with aiohttp.ClientSession(server.url, auto_decompress=False) as http:
        for path, text in (("/openapi.json", openapi.text()), ("/asyncapi.json", asyncapi.text())):
            async with http.get(path, headers={"Accept-Encoding": "gzip"}) as response:
                assert (response.status, response.content_type) == (200, "application/json")
                assert gzip.decompress(await response.read()).decode() == text
            async with http.get(path, headers={"Accept-Encoding": "identity"}) as response:
                assert (await response.read()).decode() == text
        async with http.get("/docs/errors", headers={"Accept-Encoding": "identity"}) as response:
            page = await response.text()
            assert [code for code in Code if f'<dt id="{code}">' not in page] == []


async def test_examples_are_taken(start_server: StartServer) -> None:
    server = await start_server("identity")
    async with RtcClient(server.url, 320, 240) as client, aiohttp.ClientSession(server.url) as http:
        await client.frames(1)
        ids = dict(client.answer)
        for each in openapi.all_operations():
            if each.takes is None:
                continue
            example = each.takes.example
            body = example if isinstance(example, str) else json.dumps(example)
            headers = {"Content-Type": each.takes.media_type}
            async with http.request(each.method, each.path.format(**ids), data=body, headers=headers) as response:
                assert response.status in each.gives, await response.text()
                if each.id == "watch":
                    ids["viewer_id"] = response.headers["Location"].rpartition("/")[2]


async def test_commands_of_the_documentation_work(start_server: StartServer) -> None:
    server = await start_server("identity")
    page = (ROOT / "docs" / "reference" / "http.md").read_text()
    commands = [shlex.split(line)[1:] for line in page.splitlines() if line.startswith("curl ")]
    async with RtcClient(server.url, 320, 240) as client, aiohttp.ClientSession() as http:
        for command in commands:
            parsed = CURL.parse_args([word for word in command if word != "-i"])
            url = parsed.url.replace("http://localhost:8000", server.url)
            url = url.replace("SESSION_ID", client.answer["session_id"])
            headers = dict(line.split(": ", 1) for line in parsed.header)
            async with http.request(parsed.method, url, data=parsed.data, headers=headers) as response:
                assert response.status in (200, 204), command
    assert len(commands) == 7
