"""The server as the process it is, with the faults beside the pipelines: `python -m tests.fakes.process PIPELINE`.

It takes the environment's configuration, says where it listens, and hears signals as the real one does.
"""

from __future__ import annotations

import sys
from functools import partial

from tests.fakes.fault_backend import add_entries
from tests.fakes.server import WORKER
from webrtc_server import config
from webrtc_server.cli.welcome import welcome
from webrtc_server.web.process import run

if __name__ == "__main__":
    add_entries()
    settings = config.load({})
    sys.exit(run(settings, sys.argv[1], "asked for", partial(welcome, settings, browser=False), WORKER))
