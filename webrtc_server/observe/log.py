"""The log: structlog over the standard library, so that the lines of libraries come out in the same form.

`console` is for eyes, `json` is one object a line for machines. Texts that a client may have sent are cut short and
their control characters are escaped, so that no client can forge a line or flood the log.
"""

from __future__ import annotations

import logging
import sys
from typing import Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

MAX_TEXT = 200  # characters of one value; longer ones say how much was cut
_QUIET = ("aiortc", "aioice", "asyncio", "aiohttp.access")  # they speak of every packet or request below WARNING


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger that takes an event and its facts as keywords: `log.info("session opened", session=...)`."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def setup(level: str, fmt: Literal["auto", "console", "json"]) -> None:
    """Log to standard error from `level` upwards. Called once, by a command; importing this module changes nothing."""
    console = fmt == "console" or (fmt == "auto" and sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=not console),
        structlog.stdlib.ExtraAdder(),
        short_texts,
    ]
    last: list[Processor] = (
        # Plain tracebacks: the pretty ones print local variables, and these may hold secrets.
        [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)]
        if console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=repr)]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def short_texts(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    """Escape and cut every text of the event; what stands in `event` too, for libraries put peers' texts there."""
    for key, value in event_dict.items():
        if isinstance(value, str):
            event_dict[key] = _short(value)
    return event_dict


def _short(text: str) -> str:
    kept = text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}... ({len(text) - MAX_TEXT} more)"
    return kept if kept.isprintable() else repr(kept)[1:-1]
