"""`live-diffusion config`: what is in force and where it comes from, a file to begin with, and what is wrong.

Exit codes: 0, or 2 where a value or a file is wrong.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Annotated

import typer

from webrtc_server.cli.exits import Exit, fail
from webrtc_server.config import ENV_FILE, TOML_FILE, Config, InvalidConfig, Sources
from webrtc_server.config.examples import env_example, plain, toml_example
from webrtc_server.config.sources import Origin

app = typer.Typer(name="config", help="Show, check or begin the configuration.", no_args_is_help=True)

File = Annotated[str | None, typer.Option("--config", help=Config.model_fields["config"].description)]


@app.command()
def show(
    config: File = None, as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False
) -> None:
    """Show each value and where it comes from. Secrets are not shown."""
    sources, values = read({"config": config})
    _warn(sources)
    origins = sources.origins()
    rows = {
        name: {"value": value, "origin": str(origins[name]) if name in origins else "default"}
        for name, value in values.model_dump(mode="json").items()  # which has stars in the place of secrets
    }
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    name_width = max(map(len, rows))
    for name, row in rows.items():
        typer.echo(f"{name:<{name_width}}  {_text(row['value']):<26}  {row['origin']}")


@app.command()
def check(config: File = None) -> None:
    """Say everything that is wrong. Names that mean nothing are told, too, and are no error."""
    from webrtc_server.web import tls  # here, so that --help answers at once

    sources, values = read({"config": config}, _warn)
    try:
        if values.tls_files:
            tls.context_for(values)
    except tls.BadCertificate as error:
        fail(f"{sources.origin('tls')}: {error}", Exit.INVALID)
    typer.echo(f"good: {summary(sources.origins())}")


@app.command()
def init(
    toml: Annotated[bool, typer.Option("--toml", help=f"Write {TOML_FILE} instead.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write a .env to begin with. Every setting is explained and commented out."""
    path, text = (TOML_FILE, toml_example()) if toml else (ENV_FILE, env_example())
    try:
        # For its owner alone: it is the place for secrets.
        with open(path, "w" if force else "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            os.chmod(path, 0o600)  # one that was there kept its own
            file.write(text)
    except FileExistsError:
        fail(f"{path} is there already; --force writes over it", Exit.INVALID)
    except OSError as error:
        fail(f"{path} cannot be written: {error.strerror}", Exit.NOT_READY)
    typer.echo(f"wrote {path}")


def read(flags: Mapping[str, object], look: Callable[[Sources], None] = lambda sources: None) -> tuple[Sources, Config]:
    """What is in force, for every command that needs it; None among `flags` is not given. Where something is wrong,
    the command ends with each problem, after `look` has seen the names.
    """
    try:
        sources = Sources({name: value for name, value in flags.items() if value is not None})
        look(sources)
        return sources, sources.config()
    except InvalidConfig as error:
        fail(str(error), Exit.INVALID)


def summary(origins: Mapping[str, Origin]) -> str:
    """Which settings each place gives, in one line."""
    places: dict[str, list[str]] = {}
    for field, origin in origins.items():
        places.setdefault(origin.place, []).append(field)
    return "; ".join(f"{', '.join(fields)} from {place}" for place, fields in places.items()) or "all defaults"


def _warn(sources: Sources) -> None:
    for sentence in sources.unknown_names():
        typer.echo(f"warning: {sentence}", err=True)


def _text(value: object) -> str:
    return json.dumps(value) if isinstance(value, list) and value else plain(value)
