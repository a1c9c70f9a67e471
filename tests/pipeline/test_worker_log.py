"""The worker's lines are of the form that the server's log has."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from pipeline.log_texts import MAX_TEXT
from pipeline.worker.log import FORMAT_VARIABLE

SAYS = """
import logging
from pipeline.worker import log
log.setup()
logger = logging.getLogger("pipeline.worker")
logger.info("one %s", "forged\\n{}")
logger.info("y" * 10_000)
logger.debug("nothing")
secret = "a planted prompt"
try:
    raise ValueError("two\\n2026-01-01T00:00:00Z [info] all is well")
except ValueError:
    logger.exception("it failed")
"""


def said(form: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", SAYS],
        env=os.environ | {FORMAT_VARIABLE: form},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stderr.splitlines()


def test_one_object_a_line_where_the_server_writes_such() -> None:
    first, long, last = map(json.loads, said("json"))
    assert first.pop("timestamp").endswith("Z")
    assert first == {"event": r"one forged\n{}", "level": "info", "logger": "pipeline.worker"}
    assert long["event"] == "y" * MAX_TEXT + f"... ({10_000 - MAX_TEXT} more)"
    assert (last["event"], last["level"]) == ("it failed", "error")
    assert "ValueError: two" in last["exception"]


def test_for_eyes_elsewhere() -> None:
    lines = said("console")
    assert [line[:4].isspace() for line in lines[:4]] == [False, False, False, True]
    assert all(line.startswith("    ") for line in lines[3:]), "an error's own text passes for a line of the log"
    text = "\n".join(lines)
    assert "[info" in text
    assert "ValueError: two" in text
    assert "\x1b" not in text
    assert "planted" not in text  # no variables beside the traceback
