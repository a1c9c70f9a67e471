"""`live-diffusion doctor`: looks at everything that has to be right, and says what to do about what is not.

It changes nothing and fetches nothing, and asks nobody but this machine unless told `--net`. No secret is printed.
Exit codes: 0 nothing stops the server, 3 something does.
"""

from __future__ import annotations

import os
from typing import Annotated

import typer
from rich.console import Console

from pipeline.catalog import MODEL_DIR_VARIABLE
from webrtc_server import __version__
from webrtc_server.cli.exits import Exit
from webrtc_server.cli.table import show
from webrtc_server.config import forget_secrets
from webrtc_server.diagnosis.finding import Finding, Line, Report, without_secrets
from webrtc_server.observe import log

MARKS = {"ok": "ok", "warning": "warning", "problem": "PROBLEM"}
STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="The same as data.")] = False,
    net: Annotated[bool, typer.Option("--net", help="Also ask the configured STUN and TURN servers.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Start no worker.")] = False,
    config: Annotated[str | None, typer.Option(help="As for serve.")] = None,
    host: Annotated[str | None, typer.Option(help="As for serve.")] = None,
    port: Annotated[int | None, typer.Option(help="As for serve.")] = None,
    tls: Annotated[str | None, typer.Option(help="As for serve.")] = None,
    pipeline: Annotated[str | None, typer.Option(help="As for serve.")] = None,
    insecure_public: Annotated[bool | None, typer.Option("--insecure-public", help="As for serve.")] = None,
    max_sessions: Annotated[int | None, typer.Option(help="As for serve.")] = None,
) -> None:
    """Say what is wrong, and what to do.

    Looks at this machine and the configuration: libraries, GPU, models, ports, UDP, certificate, and starts the worker
    once. Ends with code 3 if something keeps the server from working as configured.
    """
    from webrtc_server.diagnosis import checks, configuration  # here, so that --help answers at once

    flags = {
        "config": config,
        "host": host,
        "port": port,
        "tls": tls,
        "pipeline": pipeline,
        "insecure_public": insecure_public,
        "max_sessions": max_sessions,
    }
    settings, findings = configuration.look({name: value for name, value in flags.items() if value is not None})
    forget_secrets()  # before torch and the worker are asked
    if settings.model_dir is not None:
        os.environ[MODEL_DIR_VARIABLE] = settings.model_dir  # as the worker is told
    log.setup("error", "auto", settings.secrets)
    lines: list[Line] = []

    def note(check: str, found: list[Finding]) -> None:
        shown = without_secrets(found, settings.secrets)
        lines.extend(Line(check=check, level=one.level, text=one.text, fix=one.fix) for one in shown)

    note("configuration", findings)
    console = Console(stderr=True)
    with console.status("") as status:
        for check in checks.all_checks(settings, net, quick):
            status.update(f"{check.name} ...")
            note(check.name, checks.run(check))
    report = Report.of(__version__, lines)
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        _print(report)
    raise typer.Exit(Exit.NOT_READY if report.level == "problem" else Exit.OK)


def _print(report: Report) -> None:
    rows, styles = [], []
    for line in report.lines:
        rows.append((MARKS[line.level], line.check, line.text))
        styles.append(STYLES[line.level])
        if line.fix:
            rows.append(("", "", f"-> {line.fix}"))
            styles.append("")
    show(("", "what", "how it is"), rows, styles)
    count = {level: sum(line.level == level for line in report.lines) for level in MARKS}
    verdict = "the server cannot work as configured" if report.level == "problem" else "the server can start"
    typer.echo(f"{verdict}: problems {count['problem']}, warnings {count['warning']}")
