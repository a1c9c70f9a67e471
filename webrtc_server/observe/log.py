"""The log: structlog over the standard library, so that the lines of libraries come out in the same form.

`console` is for eyes, `json` is one object a line for machines. Texts that a client may have sent are cut short and
their control characters are escaped, so that no client can forge a line or flood the log. Secrets are blotted out,
whoever logs them. Prompts and session ids are logged by nobody.
"""

from __future__ import annotations

import base64
import json
import logging
import sys
from collections.abc import Iterable
from typing import Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from pipeline.log_texts import set_in_traceback, short_texts

BLOT = "[secret]"
_QUIET = ("aiortc", "aioice", "asyncio", "aiohttp.access")  # they speak of every packet or request below WARNING


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger that takes an event and its facts as keywords: `log.info("session opened", session=...)`."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def setup(level: str, fmt: Literal["auto", "console", "json"], secrets: Iterable[str] = ()) -> None:
    """Log to standard error from `level` upwards, with `secrets` blotted out. Called once, by a command; importing this
    module changes nothing."""
    blotter = _Blotter(secrets)
    logging.raiseExceptions = False  # else what cannot be written is printed as it came, secrets and all
    console = is_console(fmt)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=not console),
        structlog.stdlib.ExtraAdder(),
        blotter.texts,  # before one of them is cut in two
        short_texts,
    ]
    last: list[Processor] = (
        [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=set_in_traceback)]
        if console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=repr)]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last, blotter.line],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.getLogger("aiohttp.websocket").setLevel(logging.ERROR)  # its warning lists sub-protocols, tokens among them
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def is_console(fmt: Literal["auto", "console", "json"]) -> bool:
    """Whether that format is the one for eyes here."""
    return fmt == "console" or (fmt == "auto" and sys.stderr.isatty())


class _Blotter:
    """Writes BLOT over each secret, in the forms in which one can come into a line."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._forms = [form for secret in secrets if secret for form in _forms(secret)]

    def texts(self, _logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
        return {key: self._blot(value) if isinstance(value, str) else value for key, value in event_dict.items()}

    def line(self, _logger: WrappedLogger, _method: str, line: EventDict | str) -> str:
        """For the end of the chain, where the event is a text already."""
        return self._blot(str(line))

    def _blot(self, text: str) -> str:
        for form in self._forms:
            text = text.replace(form, BLOT)
        return text


def _forms(secret: str) -> list[str]:
    """As it is, as it travels in a sub-protocol's name, and escaped as JSON and Python write texts; longest first."""
    encoded = base64.urlsafe_b64encode(secret.encode()).rstrip(b"=").decode()
    return sorted({secret, encoded, json.dumps(secret)[1:-1], repr(secret)[1:-1]}, key=len, reverse=True)
