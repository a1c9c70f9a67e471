"""What the image and compose promise an operator: who it runs as, what it may use, how it is watched and stopped."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
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
OTHERS = ("turn", "tls", "prometheus", "grafana")


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


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_what_a_container_may_use(name: str) -> None:
    service: dict[str, Any] = COMPOSE["services"][name]
    assert service["profiles"] == ["monitoring" if name in ("prometheus", "grafana") else name]
    assert service["pids_limit"] == 512
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert service["read_only"] is service["init"] is True
    assert service["tmpfs"] == (["/tmp", "/config"] if name == "tls" else ["/tmp"])
    assert "ports" not in service  # the host's network, where 127.0.0.1 stands until .env says otherwise
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.get("privileged")
    assert service.get("cap_add", []) == (["NET_BIND_SERVICE"] if name in ("turn", "tls") else [])


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_has_time_to_end(name: str) -> None:
    service: dict[str, Any] = COMPOSE["services"][name]
    assert "LIVE_DIFFUSION_HOST" not in service["environment"]
    grace = int(service["stop_grace_period"].removesuffix("s"))
    assert grace >= Config().drain_seconds + STOP_TIMEOUT + 2 * REQUEST_CLOSE_TIMEOUT + 10, "killed before it has ended"


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_not_ours_is_pinned_watched_and_told_no_more_than_it_needs(name: str) -> None:
    service: dict[str, Any] = COMPOSE["services"][name]
    assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+(\.\d+)?(-alpine)?", service["image"])
    assert service["healthcheck"]["test"][0] == "CMD"
    assert "127.0.0.1" in str(service["healthcheck"]["test"])
    assert "env_file" not in service  # it would get every secret of .env
    secrets = {key for key in service["environment"] if re.search("TOKEN|SECRET|PASSWORD", key)}
    assert secrets == {
        "turn": {"LIVE_DIFFUSION_TURN_SECRET"},
        "tls": {"LIVE_DIFFUSION_AUTH_TOKEN"},
        "prometheus": {"LIVE_DIFFUSION_AUTH_TOKEN"},
        "grafana": {"GF_SECURITY_ADMIN_PASSWORD"},
    }.get(name)


def shell(service: str, program: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """What compose has the shell of `service` do, with a `program` that tells its arguments and environment."""
    (command,) = COMPOSE["services"][service]["command"]
    stand_in = folder / Path(program).name
    stand_in.write_text("#!/bin/sh\necho $@\nenv\n")
    stand_in.chmod(0o700)
    command = command.replace("$$", "$").replace("/tmp/", f"{folder}/").replace(f"exec {program}", f"exec {stand_in}")
    return subprocess.run(
        [*COMPOSE["services"][service]["entrypoint"], command],
        env={"PATH": "/usr/bin:/bin"} | environment,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("host", "tls", "target", "scheme"),
    [
        ("127.0.0.1", "off", "127.0.0.1:81", "http"),
        ("127.0.0.1", "Off", "127.0.0.1:81", "http"),
        ("::1", "auto", "[::1]:81", "https"),
    ],
)
def test_prometheus_is_told_where_and_with_what_token(
    tmp_path: Path, host: str, tls: str, target: str, scheme: str
) -> None:
    token = "a$token%s"
    told = shell(
        "prometheus",
        "prometheus",
        tmp_path,
        LIVE_DIFFUSION_HOST=host,
        LIVE_DIFFUSION_PORT="81",
        LIVE_DIFFUSION_TLS=tls,
        LIVE_DIFFUSION_AUTH_TOKEN=token,
    ).stdout
    assert token not in told
    config = yaml.safe_load((ROOT / "deploy" / "monitoring" / "prometheus.yml").read_text())
    [job] = config["scrape_configs"]
    token_file = tmp_path / Path(job["authorization"]["credentials_file"]).name
    assert (token_file.read_text(), oct(token_file.stat().st_mode)[-3:]) == (token, "600")
    [targets] = job["file_sd_configs"][0]["files"]
    told_where = json.loads((tmp_path / Path(targets).name).read_text())
    assert told_where == [{"targets": [target], "labels": {"__scheme__": scheme}}]
    assert "--web.listen-address=127.0.0.1:9090" in told


def test_grafana_is_not_started_without_a_password(tmp_path: Path) -> None:
    assert shell("grafana", "/run.sh", tmp_path, GF_SECURITY_ADMIN_PASSWORD="x").returncode == 0
    refused = shell("grafana", "/run.sh", tmp_path, GF_SECURITY_ADMIN_PASSWORD="")
    assert refused.returncode != 0
    assert "set GRAFANA_PASSWORD" in refused.stderr
    assert COMPOSE["services"]["grafana"]["environment"]["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"
    for name in SERVERS:
        assert COMPOSE["services"][name]["environment"]["GRAFANA_PASSWORD"] == ""


def test_https_is_not_offered_without_a_token(tmp_path: Path) -> None:
    told = shell("tls", "caddy", tmp_path, LIVE_DIFFUSION_AUTH_TOKEN="a$token%s")
    assert "run --config /etc/caddy/Caddyfile" in told.stdout
    assert "a$token%s" not in told.stdout
    refused = shell("tls", "caddy", tmp_path, LIVE_DIFFUSION_AUTH_TOKEN="")
    assert refused.returncode != 0
    assert "set it in .env" in refused.stderr
    for name in SERVERS:  # or one guesser of tokens locks out all that come by Caddy
        trusted = COMPOSE["services"][name]["environment"]["LIVE_DIFFUSION_TRUSTED_PROXIES"]
        assert trusted == "${LIVE_DIFFUSION_TRUSTED_PROXIES:-127.0.0.1}"


def test_files_that_are_mounted_are_there() -> None:
    mounts = [volume.split(":") for service in COMPOSE["services"].values() for volume in service.get("volumes", [])]
    assert mounts
    for source, *_ in mounts:
        assert (ROOT / source).exists() if source.startswith("./") else source in COMPOSE["volumes"], source


def test_downloaded_models_outlive_the_container() -> None:
    """They were kept in /tmp, which is memory."""
    gpu = COMPOSE["services"]["gpu"]
    assert gpu["deploy"]["resources"]["reservations"]["devices"][0]["driver"] == "nvidia"
    assert gpu["volumes"] == [f"models:{gpu['environment']['LIVE_DIFFUSION_MODEL_DIR']}"]
    assert "models" in COMPOSE["volumes"]
    made = instructions("cuda")["RUN"]
    assert made == f"install --directory --owner=10001 {gpu['environment']['LIVE_DIFFUSION_MODEL_DIR']}"


def turn(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """What compose has its shell do, with a `turnserver` that tells its arguments, configuration and environment."""
    (command,) = COMPOSE["services"]["turn"]["command"]
    program = folder / "turnserver"
    program.write_text(f"#!/bin/sh\necho $@\nstat -c %a {folder}/turnserver.conf\ncat {folder}/turnserver.conf\nenv\n")
    program.chmod(0o700)
    command = command.replace("$$", "$").replace("/tmp/", f"{folder}/")
    shell = [*COMPOSE["services"]["turn"]["entrypoint"], command]
    return subprocess.run(shell, env={"PATH": f"{folder}:/usr/bin:/bin"} | environment, capture_output=True, text=True)


def test_the_relays_secret_is_in_a_file_of_its_own(tmp_path: Path) -> None:
    secret = 'quote" $HOME %s'
    told = turn(tmp_path, LIVE_DIFFUSION_TURN_SECRET=secret).stdout.splitlines()
    arguments, mode, configuration, *environment = told
    assert arguments.startswith(f"-c {tmp_path}/turnserver.conf ")
    assert "--use-auth-secret" in arguments
    assert (mode, configuration) == ("600", f"static-auth-secret={secret}")
    assert secret not in arguments + "".join(environment)
    assert "--external-ip" not in arguments
    assert (
        "--external-ip=192.0.2.1"
        in turn(tmp_path, LIVE_DIFFUSION_TURN_SECRET=secret, LIVE_DIFFUSION_PUBLIC_IP="192.0.2.1").stdout
    )
    for missing in (turn(tmp_path), turn(tmp_path, LIVE_DIFFUSION_TURN_SECRET="")):
        assert missing.returncode != 0
        assert "set it in .env" in missing.stderr


def test_the_relay_is_no_way_into_the_network_around_it(tmp_path: Path) -> None:
    arguments = turn(tmp_path, LIVE_DIFFUSION_TURN_SECRET="x").stdout.splitlines()[0].split()
    assert {"--no-tcp-relay", "--no-multicast-peers"} <= set(arguments)
    ranges = [argument.partition("=")[2] for argument in arguments if argument.startswith("--denied-peer-ip=")]
    denied: set[str] = set()
    for each in ranges:
        first, _, last = each.partition("-")
        ends = ipaddress.ip_address(first), ipaddress.ip_address(last or first)
        denied |= {str(network) for network in ipaddress.summarize_address_range(*ends)}
    assert denied == {
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "::1/128",
        "::ffff:0:0/96",
        "fc00::/7",
        "fe80::/10",
    }


def test_the_linter_finds_nothing_in_the_dockerfile() -> None:
    found = subprocess.run(
        [Path(sys.executable).parent / "hadolint", ROOT / "Dockerfile"], capture_output=True, text=True
    )
    assert (found.returncode, found.stdout) == (0, "")


def health_check(port: int, host: str = "", tls: str = "") -> int:
    command = json.loads(instructions("cpu")["HEALTHCHECK"].partition("CMD ")[2])
    environment = os.environ | {
        "LIVE_DIFFUSION_PORT": str(port),
        "LIVE_DIFFUSION_HOST": host,
        "LIVE_DIFFUSION_TLS": tls,
    }
    assert command[0] == "python"
    return subprocess.run([sys.executable, *command[1:]], env=environment, capture_output=True, timeout=30).returncode


async def test_the_health_check_is_as_good_as_the_server(
    start_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int((await start_server("identity")).url.rpartition(":")[2])
    for host in ("", "127.0.0.1", "0.0.0.0"):
        assert await asyncio.to_thread(health_check, port, host) == 0
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    encrypted = int((await start_server("identity", tls="auto")).url.rpartition(":")[2])
    assert await asyncio.to_thread(health_check, encrypted, tls="auto") == 0
    monkeypatch.setattr("webrtc_server.protocol.readiness.LOOP_TICK_OLD", 0.0)
    assert await asyncio.to_thread(health_check, port) != 0
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert await asyncio.to_thread(health_check, taken.getsockname()[1]) != 0
