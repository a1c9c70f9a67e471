"""`live-diffusion serve`: read the configuration, choose the pipeline, run the server until a signal stops it.

Exit codes: 0 stopped cleanly, 1 crashed, 2 the command line or configuration is wrong, 3 the environment is not
ready (no pipeline can run, the address is in use).
"""

from __future__ import annotations

import errno
import os
import sys
from typing import Annotated, NoReturn

import typer

from pipeline.registry import ENTRIES, choose
from webrtc_server import config
from webrtc_server.observe import log

INVALID_CONFIG = 2
NOT_READY = 3

_ADDRESS_ERRORS = {errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES}


def _help(name: str) -> str:
    return config.Config.model_fields[name].description or ""


def serve(
    host: Annotated[str | None, typer.Option(help=_help("host"))] = None,
    port: Annotated[int | None, typer.Option(help=_help("port"))] = None,
    pipeline: Annotated[str | None, typer.Option(help=_help("pipeline"))] = None,
    prompt: Annotated[str | None, typer.Option(help=_help("prompt"))] = None,
    width: Annotated[int | None, typer.Option(help=_help("width"))] = None,
    height: Annotated[int | None, typer.Option(help=_help("height"))] = None,
    insecure_public: Annotated[bool | None, typer.Option("--insecure-public", help=_help("insecure_public"))] = None,
    max_sessions: Annotated[int | None, typer.Option(help=_help("max_sessions"))] = None,
    video_bitrate_kbps: Annotated[int | None, typer.Option(help=_help("video_bitrate_kbps"))] = None,
    log_level: Annotated[str | None, typer.Option(help=_help("log_level"))] = None,
    log_format: Annotated[str | None, typer.Option(help=_help("log_format"))] = None,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser once the server listens.")] = False,
) -> None:
    """Start the server. What is not given here comes from the environment, then .env, then the defaults."""
    flags = {
        "host": host,
        "port": port,
        "pipeline": pipeline,
        "prompt": prompt,
        "width": width,
        "height": height,
        "insecure_public": insecure_public,
        "max_sessions": max_sessions,
        "video_bitrate_kbps": video_bitrate_kbps,
        "log_level": log_level,
        "log_format": log_format,
    }
    try:
        settings = config.load({name: value for name, value in flags.items() if value is not None})
    except config.InvalidConfig as error:
        _fail(str(error), INVALID_CONFIG)
    log.setup(settings.log_level, settings.log_format, settings.secrets)
    config.forget_secrets()
    for sentence in config.unknown_names():
        log.get_logger(__name__).warning(sentence)
    if settings.insecure_public and not settings.auth_token:
        log.get_logger(__name__).warning("anybody who reaches this address may use the server", host=settings.host)
    try:
        choice = choose(settings.pipeline)
    except LookupError as error:
        _fail(str(error.args[0]), NOT_READY)
    typer.echo(f"pipeline {choice.name}: {ENTRIES[choice.name].title}, {choice.reason}")
    if browser:
        from webrtc_server.cli.browser import open_when_listening

        open_when_listening(settings.host, settings.port)
    from webrtc_server.cli.progress import WorkerProgress
    from webrtc_server.web.process import run  # here, so that --help and a wrong value answer at once

    progress = WorkerProgress() if sys.stderr.isatty() else None
    try:
        code = run(settings, choice.name, choice.reason, watch_worker=progress)
    except OSError as error:
        if error.errno not in _ADDRESS_ERRORS:
            raise
        _fail(
            f"cannot listen on {settings.host}:{settings.port}: {os.strerror(error.errno)}; choose another --port",
            NOT_READY,
        )
    finally:
        if progress:
            progress.close()
    sys.exit(code)


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(code)
