"""`live-diffusion serve`: read the configuration, choose the pipeline, run the server until a signal stops it."""

from __future__ import annotations

import sys
from functools import partial
from typing import Annotated

import typer

from pipeline.registry import ENTRIES, choose
from webrtc_server.cli.config import read, summary
from webrtc_server.cli.exits import Exit, fail
from webrtc_server.config import Config, forget_secrets
from webrtc_server.observe import log


def _help(name: str) -> str:
    return Config.model_fields[name].description or ""


def serve(
    config: Annotated[str | None, typer.Option(help=_help("config"))] = None,
    host: Annotated[str | None, typer.Option(help=_help("host"))] = None,
    port: Annotated[int | None, typer.Option(help=_help("port"))] = None,
    tls: Annotated[str | None, typer.Option(help=_help("tls"))] = None,
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
    """Start the server. What is not given comes from the environment, .env, live-diffusion.toml, or is a default."""
    flags = {
        "config": config,
        "host": host,
        "port": port,
        "tls": tls,
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
    sources, settings = read(flags)
    log.setup(settings.log_level, settings.log_format, settings.secrets)
    forget_secrets()
    for sentence in sources.unknown_names():
        log.get_logger(__name__).warning(sentence)
    if settings.insecure_public and not settings.auth_token:
        log.get_logger(__name__).warning("anybody who reaches this address may use the server", host=settings.host)
    try:
        choice = choose(settings.pipeline)
    except LookupError as error:
        fail(str(error.args[0]), Exit.NOT_READY)
    typer.echo(f"pipeline {choice.name}: {ENTRIES[choice.name].title}, {choice.reason}")
    typer.echo(f"settings: {summary(sources.origins())}")
    from webrtc_server.cli.progress import WorkerProgress  # here, so that --help and a wrong value answer at once
    from webrtc_server.cli.welcome import welcome
    from webrtc_server.web.process import CannotListen, run
    from webrtc_server.web.tls import BadCertificate

    progress = WorkerProgress() if sys.stderr.isatty() else None
    try:
        ready = partial(welcome, settings, browser=browser)
        code = run(settings, choice.name, choice.reason, ready, watch_worker=progress)
    except BadCertificate as error:
        fail(f"{sources.origin('tls')}: {error}", Exit.INVALID if settings.tls_files else Exit.NOT_READY)
    except CannotListen as error:
        where = f"{settings.host}:{settings.port}"
        fail(f"cannot listen on {where}: {error}; choose another --host or --port", Exit.NOT_READY)
    finally:
        if progress:
            progress.close()
    sys.exit(code)
