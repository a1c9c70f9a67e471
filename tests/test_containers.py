"""What the image and compose promise an operator: who it runs as, what it may use, how it is watched and stopped."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
from typing import Any

import pytest
import yaml

from run import ROOT
from tests.conftest import StartServer
from webrtc_server.config import Config
from webrtc_server.limits import REQUEST_CLOSE_TIMEOUT, STOP_TIMEOUT

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", "")
SERVERS = ("cpu", "gpu")


def instructions(stage: str) -> dict[str, str]:
    """The last of each kind in `stage` and what it is made from."""
    body = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)
    [(base, text)] = [(found[1], part) for part in body if (found := re.match(rf"(\S+) AS {stage}\n", part))]
    own = dict(re.findall(r"^([A-Z]+) +(.+)$", text.partition("\n")[2], re.MULTILINE))
    return own if ":" in base else instructions(base) | own


@pytest.mark.parametrize("stage", ["cpu", "cuda"])
def test_signals_reach_the_server_and_it_is_nobody(stage: str) -> None:
    last = instructions(stage)
    assert json.loads(last["ENTRYPOINT"]) == ["live-diffusion"]  # no shell between it and a signal
    assert json.loads(last["CMD"]) == ["serve"]
    assert (last["STOPSIGNAL"], last["USER"]) == ("SIGTERM", "10001")


@pytest.mark.parametrize("name", SERVERS)
def test_what_a_container_may_use(name: str) -> None:
    service: dict[str, Any] = COMPOSE["services"][name]
    assert service["pids_limit"] == 512
    assert re.fullmatch(r"\d+g", service["mem_limit"])
    assert not service.get("privileged")
    assert not service.get("cap_add")
    grace = int(service["stop_grace_period"].removesuffix("s"))
    assert grace >= Config().drain_seconds + STOP_TIMEOUT + 2 * REQUEST_CLOSE_TIMEOUT + 10, "killed before it has ended"


def test_downloaded_models_outlive_the_container() -> None:
    """They were kept in /tmp, which is memory."""
    gpu = COMPOSE["services"]["gpu"]
    assert gpu["volumes"] == [f"models:{gpu['environment']['LIVE_DIFFUSION_MODEL_DIR']}"]
    assert "models" in COMPOSE["volumes"]
    made = instructions("cuda")["RUN"]
    assert made == f"install --directory --owner=10001 {gpu['environment']['LIVE_DIFFUSION_MODEL_DIR']}"


def health_check(port: int, host: str = "") -> int:
    command = json.loads(instructions("cpu")["HEALTHCHECK"].partition("CMD ")[2])
    environment = os.environ | {"LIVE_DIFFUSION_PORT": str(port), "LIVE_DIFFUSION_HOST": host}
    assert command[0] == "python"
    return subprocess.run([sys.executable, *command[1:]], env=environment, capture_output=True, timeout=30).returncode


async def test_the_health_check_is_as_good_as_the_server(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int((await start_server("identity")).url.rpartition(":")[2])
    for host in ("", "127.0.0.1", "0.0.0.0"):
        assert await asyncio.to_thread(health_check, port, host) == 0
    monkeypatch.setattr("webrtc_server.protocol.readiness.LOOP_TICK_OLD", 0.0)
    assert await asyncio.to_thread(health_check, port) != 0
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert await asyncio.to_thread(health_check, taken.getsockname()[1]) != 0
