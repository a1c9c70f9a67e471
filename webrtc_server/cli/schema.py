"""`live-diffusion schema openapi|asyncapi|settings`: a document of the API as JSON, without a server."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated

import typer


class Which(StrEnum):
    OPENAPI = "openapi"
    ASYNCAPI = "asyncapi"
    SETTINGS = "settings"


def schema(
    which: Annotated[Which, typer.Argument(help="HTTP routes, messages of a session, or its settings.")],
) -> None:
    """Print a document of the API: OpenAPI 3.1, AsyncAPI 3.0, or the JSON Schema of the settings."""
    typer.echo(_text(which), nl=False)


def _text(which: Which) -> str:
    # Imported here, so that --help answers at once.
    if which is Which.OPENAPI:
        from webrtc_server.web import openapi

        return openapi.text()
    if which is Which.ASYNCAPI:
        from webrtc_server.protocol import asyncapi

        return asyncapi.text()
    from pipeline.settings import Settings

    return json.dumps(Settings.model_json_schema(), indent=2) + "\n"
