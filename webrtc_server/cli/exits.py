"""The exit codes of every command, and how one ends with an error."""

from __future__ import annotations

from enum import IntEnum
from typing import NoReturn

import typer


class Exit(IntEnum):
    OK = 0
    CRASHED = 1
    INVALID = 2
    NOT_READY = 3
    TOO_SLOW = 4


MEANING = {
    Exit.OK: "done; a server was stopped by Ctrl+C or SIGTERM",
    Exit.CRASHED: "crashed, or a connection was lost; the traceback is what an issue needs",
    Exit.INVALID: "a flag or a configured value is wrong; the message names it and where it stands",
    Exit.NOT_READY: (
        "the surroundings are not ready: no pipeline can run, the address is in use, a camera, file, model or "
        "server is not there"
    ),
    Exit.TOO_SLOW: "a benchmark stayed below what was asked for",
}


def fail(message: str, code: Exit) -> NoReturn:
    """End the command: `message` goes to standard error."""
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(code)
