"""The worker's lines are of the form that the server's log has."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from pipeline.worker.log import FORMAT_VARIABLE

SAYS = """
import logging
from pipeline.worker import log
log.setup()
logger = logging.getLogger("pipeline.worker")
logger.info("one %s", "forged\\n{}")
logger.debug("nothing")
secret = "a planted prompt"
try:
    raise ValueError("two")
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
    first, second = map(json.loads, said("json"))
    assert first.pop("timestamp").endswith("Z")
    assert first == {"event": "one forged\n{}", "level": "info", "logger": "pipeline.worker"}
    assert (second["event"], second["level"]) == ("it failed", "error")
    assert "ValueError: two" in second["exception"]


def test_for_eyes_elsewhere() -> None:
    text = "\n".join(said("console"))
    assert "[info" in text
    assert "ValueError: two" in text
    assert "\x1b" not in text
    assert "planted" not in text  # no variables beside the traceback
