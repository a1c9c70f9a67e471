"""What is said once the server listens: its addresses, and for phones a QR code."""

from __future__ import annotations

import os
import sys
import threading
import webbrowser
from pathlib import Path
from urllib.parse import urlencode

import segno
import typer

from webrtc_server.config import Config
from webrtc_server.web import tls

MOST_ADDRESSES = 4  # of a machine's own that are told; containers and tunnels give some machines dozens

CONTAINER_MARKS = (Path("/.dockerenv"), Path("/run/.containerenv"))  # Docker's, Podman's; others set `container`

_LOCALHOST = ("localhost", "127.0.0.1", "::1")


def welcome(config: Config, port: int, documents: bool, browser: bool) -> None:
    """`documents`: whether there are any at `/docs`; `browser`: whether to open the page in one."""
    here, others = local_url(config, port), other_urls(config, port, tls.addresses())
    typer.echo(f"listening on {config.scheme}://{_in_url(config.host)}:{port}")
    typer.echo(f"open {here} in a browser")
    for url in others:
        typer.echo(f"     {url} on other devices")
    if documents:
        typer.echo(f"API documents: {here}/docs")
    if others and config.scheme == "http":
        typer.echo("their browsers give a camera to https only: start with --tls auto")
    elif others and sys.stdout.isatty() and not in_container() and sys.stdout.encoding.lower().startswith("utf"):
        typer.echo("for a phone's camera:")
        # The only place that shows the token: who sees this terminal set it, and nobody types 32 letters into a phone.
        # In the fragment, which browsers send to nobody. Never where the output goes to a file or a log.
        segno.make(with_token(others[0], config.owner_token), micro=False).terminal(compact=True)
    sys.stdout.flush()
    if browser:
        threading.Thread(target=webbrowser.open, args=(here,), name="open-browser", daemon=True).start()


def in_container() -> bool:
    """Its terminal is kept as its log, too, and its own addresses are those of a network that no phone is in."""
    return "container" in os.environ or any(mark.exists() for mark in CONTAINER_MARKS)


def local_url(config: Config, port: int) -> str:
    """For this machine: by the name that gets a camera without HTTPS, if that is where the server listens."""
    host = "localhost" if config.host in _LOCALHOST or config.is_everywhere else _in_url(config.host)
    return f"{config.scheme}://{host}:{port}"


def other_urls(config: Config, port: int, addresses: list[str]) -> list[str]:
    """For others; `addresses` are this machine's."""
    if config.is_local:
        return []
    own = [each for each in addresses if not each.startswith("127.") and each != "::1"]
    if config.is_everywhere:  # asyncio listens on one family's addresses, for :: too
        own = [each for each in own if (":" in each) is (":" in config.host)]
    hosts = own[:MOST_ADDRESSES] if config.is_everywhere else [config.host]
    return [f"{config.scheme}://{_in_url(host)}:{port}" for host in hosts]


def with_token(url: str, token: str) -> str:
    return f"{url}/#{urlencode({'token': token})}" if token else url


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
