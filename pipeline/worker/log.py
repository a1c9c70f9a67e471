"""The worker's log, in the form that the server's own has: both write to one standard error.

What libraries print without asking anybody comes out as it is. Prompts are logged by nobody.
"""

from __future__ import annotations

import logging
import os
import sys

import structlog
from structlog.typing import Processor

from pipeline.log_texts import set_in_traceback, short_texts

FORMAT_VARIABLE = "LIVE_DIFFUSION_LOG_FORMAT"  # json: one object a line; else for eyes


def setup() -> None:
    """From INFO upwards. Called once, by the process; importing this module changes nothing."""
    as_json = os.environ.get(FORMAT_VARIABLE) == "json"
    known: list[Processor] = [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=as_json),
        short_texts,
    ]
    last: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if as_json
        else [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=set_in_traceback)]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=known, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
