"""The command `live-diffusion`: its subcommands, and `serve` where none is named."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from webrtc_server import __version__
from webrtc_server.cli import config, models
from webrtc_server.cli.bench import bench
from webrtc_server.cli.client import client
from webrtc_server.cli.doctor import doctor
from webrtc_server.cli.schema import schema
from webrtc_server.cli.serve import serve

app = typer.Typer(
    name="live-diffusion",
    help="Your webcam, repainted live by a neural network.",
    no_args_is_help=False,
    pretty_exceptions_enable=False,  # a crash shows Python's own traceback, which can be pasted into an issue
)
app.command()(serve)
app.command()(client)
app.command()(doctor)
app.command()(bench)
app.add_typer(models.app, name="models")
app.add_typer(config.app)
app.command()(schema)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"live-diffusion {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Your webcam, repainted live by a neural network."""


def main() -> None:
    """Run the command line of this process. `live-diffusion --port 9000` is `live-diffusion serve --port 9000`."""
    app(_with_command(sys.argv[1:]), prog_name="live-diffusion")


def _with_command(arguments: list[str]) -> list[str]:
    own = {"--help", "--version", "--install-completion", "--show-completion"}
    names_none = not arguments or (arguments[0].startswith("-") and arguments[0] not in own)
    return ["serve", *arguments] if names_none else arguments
