"""What keeps the server's log and the worker's honest: no text that came from elsewhere forges a line or floods it.

They are parts for structlog: a processor and a formatter of tracebacks.
"""

from __future__ import annotations

import traceback
from typing import TextIO

from structlog.typing import EventDict, ExcInfo, WrappedLogger

MAX_TEXT = 200  # characters of one value; longer ones say how much was cut


def short_texts(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    """Escape and cut every text of the event; what stands in `event` too, for libraries put peers' texts there."""
    for key, value in event_dict.items():
        if isinstance(value, str):
            event_dict[key] = _short(value)
    return event_dict


def set_in_traceback(file: TextIO, exc_info: ExcInfo) -> None:
    """Each line set in, so that an error's own text cannot pass for a line of the log. Plain, for the pretty ones print
    local variables, and these may hold secrets and prompts."""
    for line in "".join(traceback.format_exception(*exc_info)).splitlines():
        file.write(f"\n    {line if line.isprintable() else repr(line)[1:-1]}")


def _short(text: str) -> str:
    kept = text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}... ({len(text) - MAX_TEXT} more)"
    return kept if kept.isprintable() else repr(kept)[1:-1]
