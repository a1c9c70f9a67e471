"""`live-diffusion client`: a camera or a file goes to a server, the painted video into a file or a virtual camera.

It stops at the source's end, after `--seconds`, or at Ctrl+C; what was written is whole in each case. Exit codes:
0 done, 1 the connection was lost, 2 the command line is wrong, 3 a camera, file or server is not there or refuses.
"""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, NoReturn

import typer

LOST = 1
INVALID = 2
NOT_READY = 3


def client(
    url: Annotated[str, typer.Argument(help="The server.")] = "http://localhost:8000",
    source: Annotated[
        str, typer.Option("--in", help="camera, camera:DEVICE as FFmpeg names it, test-card, or a video file.")
    ] = "camera",
    output: Annotated[
        str, typer.Option("--out", help="A .mp4, .mkv or .webm file, virtual-camera, or none: report only.")
    ] = "none",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A setting, prompt='starry night' say. May be repeated.")
    ] = None,
    token: Annotated[
        str | None, typer.Option(envvar="LIVE_DIFFUSION_AUTH_TOKEN", help="The server's token, if it has one.")
    ] = None,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="Stop after so many seconds.")] = None,
    loop: Annotated[bool, typer.Option(help="Play a file again and again.")] = False,
) -> None:
    """Send a camera or a file to a server; write the painted video to a file or a virtual camera."""
    from webrtc_server.cli import streaming  # here, so that --help answers at once
    from webrtc_server.client import ConnectionLost, ServerError

    wanted = _settings(settings or [])
    try:
        asyncio.run(streaming.run(url, source, output, wanted, token, seconds, loop))
    except streaming.NoSuchOutput as error:
        _fail(str(error), INVALID)
    except ServerError as error:
        _fail(f"{error.message} {error.fix} {error.fields or ''}".rstrip(), NOT_READY)
    except ConnectionLost as error:
        _fail(str(error), LOST)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        _fail(str(error), NOT_READY)


def _settings(pairs: list[str]) -> dict[str, object]:
    """`steps=2` is a number, `prompt=2` a text only as `prompt='"2"'`: a value is JSON where it can be."""
    settings: dict[str, object] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            _fail(f"--set {pair} is not of the form name=value", INVALID)
        try:
            settings[name] = json.loads(value)
        except ValueError:
            settings[name] = value
    return settings


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(code)
