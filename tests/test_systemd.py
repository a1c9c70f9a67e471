"""The systemd unit gives the server time to end, and no more rights than it needs."""

from __future__ import annotations

import re
import shlex

from run import ROOT
from webrtc_server.cli.exits import Exit
from webrtc_server.config import Config
from webrtc_server.limits import REQUEST_CLOSE_TIMEOUT, STOP_TIMEOUT

UNIT = re.findall(r"^(\w+)=(.*)$", (ROOT / "deploy" / "live-diffusion.service").read_text(), re.MULTILINE)
SETTINGS = dict(UNIT)


def test_it_starts_the_server_and_restarts_what_crashed_but_not_what_is_misconfigured() -> None:
    assert shlex.split(SETTINGS["ExecStart"])[1:] == ["serve"]
    assert SETTINGS["Restart"] == "on-failure"
    assert SETTINGS["RestartPreventExitStatus"] == str(int(Exit.INVALID))


def test_it_waits_until_the_server_has_drained() -> None:
    assert SETTINGS["KillMode"] == "mixed"  # the server ends its worker, and has frames to paint until then
    assert int(SETTINGS["TimeoutStopSec"]) >= Config().drain_seconds + STOP_TIMEOUT + 2 * REQUEST_CLOSE_TIMEOUT + 10


def test_it_is_confined() -> None:
    on = [name for name, value in UNIT if value == "yes"]
    assert {"DynamicUser", "NoNewPrivileges", "ProtectHome", "PrivateTmp", "RestrictNamespaces"} <= set(on)
    assert (SETTINGS["ProtectSystem"], SETTINGS["DevicePolicy"], SETTINGS["UMask"]) == ("strict", "closed", "0077")
    assert SETTINGS["CapabilityBoundingSet"] == SETTINGS["AmbientCapabilities"] == ""
    assert "User" not in SETTINGS
    assert SETTINGS["WorkingDirectory"] == f"/var/lib/{SETTINGS['StateDirectory']}"  # the one place that it may write
