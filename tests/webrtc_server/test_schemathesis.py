"""A fuzzer that reads the OpenAPI document asks the real server for all that stands there, and for what does not: each
answer has a status, a type and a body that are documented, and none is a server error.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis import checks
from schemathesis.specs.openapi import checks as openapi_checks

from tests.e2e.chromium import Server
from webrtc_server.protocol.whip import SDP_TYPE, TRICKLE_TYPE
from webrtc_server.web import openapi

pytest_plugins = ["schemathesis.pytest.plugin"]  # not for all, since it takes a second of each start
pytestmark = pytest.mark.slow
CHECKS = [
    checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_schema_conformance,
    openapi_checks.response_headers_conformance,
]
schemathesis.serializer.alias([SDP_TYPE, TRICKLE_TYPE], "text/plain")
schema = schemathesis.openapi.from_dict(openapi.document())
schema.config.phases.coverage.unexpected_methods = {"put"}  # one that no route has will do for each


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("server") / "log", "--pipeline", "identity")
    running.start()
    yield running
    running.stop()


@schema.parametrize()
@hypothesis.settings(max_examples=3, derandomize=True, database=None)
def test_every_operation_answers_as_documented(case: schemathesis.Case[Any], server: Server) -> None:
    response = case.call_and_validate(base_url=server.url, checks=CHECKS)
    if case.operation.path == "/offer" and response.status_code == 200:
        end(f"{server.url}/api/sessions/{response.json()['session_id']}")
    elif "location" in response.headers:
        end(f"{server.url}{response.headers['location'][0]}")


def end(session: str) -> None:
    """For there are places for few who were answered and have not connected; the next would be refused."""
    with urllib.request.urlopen(urllib.request.Request(session, method="DELETE"), timeout=5) as answer:
        assert answer.status == 200


def test_no_session_is_left(server: Server) -> None:
    """Last of this file."""
    with urllib.request.urlopen(f"{server.url}/api/status", timeout=5) as answer:
        assert json.load(answer)["sessions"] == 0
