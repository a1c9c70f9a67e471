"""Open the page in the user's browser as soon as the server takes connections."""

from __future__ import annotations

import socket
import threading
import time
import webbrowser

_PATIENCE_S = 60.0  # a server that does not listen by then has said why
_POLL_S = 0.2


def open_when_listening(host: str, port: int) -> None:
    """Return at once; a daemon thread opens the page. Does nothing for port 0, which is known to the server only."""
    if port:
        target = "localhost" if host in ("0.0.0.0", "::", "127.0.0.1") else host
        threading.Thread(target=_wait_and_open, args=(target, port), name="open-browser", daemon=True).start()


def _wait_and_open(host: str, port: int) -> None:
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        try:
            socket.create_connection((host, port), timeout=_POLL_S).close()
        except OSError:
            time.sleep(_POLL_S)
        else:
            webbrowser.open(f"http://{host}:{port}")
            return
