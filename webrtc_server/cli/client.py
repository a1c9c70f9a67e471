"""`live-diffusion client`: a camera or a file goes to a server, the painted video into a file or a virtual camera.

It stops at the source's end, after `--seconds`, or at Ctrl+C; what was written is whole in each case.
"""

from __future__ import annotations

import asyncio
import json
from typing import Annotated

import typer

from webrtc_server.cli.exits import Exit, fail


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
    """Stream a camera or a file through a server. The painted video goes to a file or a virtual camera."""
    from webrtc_server.cli import streaming  # here, so that --help answers at once
    from webrtc_server.client import ConnectionLost, ServerError

    wanted = _settings(settings or [])
    try:
        asyncio.run(streaming.run(url, source, output, wanted, token, seconds, loop))
    except streaming.NoSuchOutput as error:
        fail(str(error), Exit.INVALID)
    except ServerError as error:
        fail(f"{error.message} {error.fix} {error.fields or ''}".rstrip(), Exit.NOT_READY)
    except ConnectionLost as error:
        fail(str(error), Exit.CRASHED)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        fail(str(error), Exit.NOT_READY)


def _settings(pairs: list[str]) -> dict[str, object]:
    """`steps=2` is a number, `prompt=2` a text only as `prompt='"2"'`: a value is JSON where it can be."""
    settings: dict[str, object] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            fail(f"--set {pair} is not of the form name=value", Exit.INVALID)
        try:
            settings[name] = json.loads(value)
        except ValueError:
            settings[name] = value
    return settings
