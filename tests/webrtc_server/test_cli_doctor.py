"""`live-diffusion doctor`: what it says of this machine is what is found here in other ways, and each planted problem
gets its line, its fix and the exit code.
"""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import metadata, util
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from pipeline import registry
from run import ROOT
from tests.fakes.fault_backend import LOAD_VARIABLE
from tests.fakes.server import WORKER
from tests.fakes.turn_server import TurnServer
from tests.webrtc_server.test_reach import free_ports
from webrtc_server import __version__
from webrtc_server.cli.main import app
from webrtc_server.config import Config
from webrtc_server.diagnosis import access, checks, gpu, machine, model_cache, painting, ports, software
from webrtc_server.diagnosis.checks import Check
from webrtc_server.diagnosis.finding import Finding, Line, Report, ok, warning
from webrtc_server.rtc import probe

SECRET = "a-secret-nobody-may-see"
TOKEN = "a-token-that-nobody-may-see"


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No .env of the checkout, no variable of the developer, and the log of this process stays as it was."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("webrtc_server.observe.log.setup", lambda level, fmt, secrets: None)
    for name in [name for name in os.environ if name.startswith("LIVE_DIFFUSION_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LIVE_DIFFUSION_PORT", "0")


@pytest.fixture
def no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch takes seconds to import, and one test of it is enough."""
    monkeypatch.setattr(gpu, "torch", lambda config: [ok("left out")])


def doctor(*arguments: str) -> tuple[int, Report]:
    result = CliRunner().invoke(app, ["doctor", "--json", *arguments], env=dict(os.environ))  # put back after it
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert SECRET not in result.output
    assert TOKEN not in result.output
    return result.exit_code, Report.model_validate_json(result.stdout)


def lines(report: Report, check: str) -> list[Line]:
    return [line for line in report.lines if line.check == check]


@pytest.mark.slow
def test_the_report_of_this_machine_is_true() -> None:
    """The real program, the worker included; each line compared with what is found here in another way."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "webrtc_server", "doctor", "--json", "--pipeline", "effects"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    report = Report.model_validate_json(done.stdout)
    assert (done.returncode, report.level != "problem", report.version) == (0, True, __version__), done.stdout
    said = {line.check: line.text for line in report.lines}
    assert said["configuration"].startswith("configured: ")
    assert "port=0 (LIVE_DIFFUSION_PORT in the environment)" in said["configuration"]
    assert "pipeline=effects (--pipeline)" in said["configuration"]
    assert f"Python {platform.python_version()}, " in said["system"]
    assert f"{psutil.cpu_count()} cores" in said["system"]
    for name in ("aiortc", "av", "onnxruntime", "pydantic"):
        assert f"{name} {metadata.version(name)}" in said["libraries"]
    total, free = map(float, (said["memory"].split()[-5], said["memory"].split()[-3]))
    assert total <= psutil.virtual_memory().total / 1e9 + 0.1
    assert 0 < free <= total
    if not any(Path("/dev").glob("nvidia*")):
        assert said["GPU driver"] == "no NVIDIA GPU here"
    if util.find_spec("torch"):
        assert f"torch {metadata.version('torch').partition('+')[0]}" in said["torch"]
        assert "is_available() False" in said["torch"] or Path("/dev/nvidia0").exists()
    else:
        assert "torch is not installed" in said["torch"]
    assert said["pipeline"].startswith("pipeline effects: Classical effects (CPU), asked for")
    assert "port: any that is free" in said["address"]
    here = {item.address for each in psutil.net_if_addrs().values() for item in each if item.family == socket.AF_INET}
    told = said["UDP"].removeprefix("UDP passes on ").split(", ")
    assert "127.0.0.1" in told
    assert {address for address in told if ":" not in address} <= here
    assert "none" in said["models"] or "needs no model files" in said["models"]
    assert said["worker"].startswith("effects painted a frame on cpu, ")


def test_for_eyes(no_torch: None) -> None:
    result = CliRunner().invoke(app, ["doctor", "--quick", "--host", "192.0.2.77"])
    assert result.exit_code == 3
    text = " ".join(result.stdout.split())
    assert "PROBLEM configuration --host: other machines reach this address" in text
    assert "-> Correct it where it stands" in text
    assert "the server cannot work as configured: problems 1" in text


def test_a_wrong_configuration_and_a_misspelt_name(monkeypatch: pytest.MonkeyPatch, no_torch: None) -> None:
    monkeypatch.setenv("LIVE_DIFFUSION_STEPS", "99")
    monkeypatch.setenv("LIVE_DIFFUSION_UDP_PORT_MIN", "50000")
    monkeypatch.setenv("LIVE_DIFFUSION_PORTT", "1")
    monkeypatch.setenv("LIVE_DIFFUSION_AUTH_TOKEN", f"{TOKEN} ")  # a blank is none of its letters
    code, report = doctor("--quick")
    found = lines(report, "configuration")
    assert (code, report.level) == (3, "problem")
    wrong = [line.text for line in found if line.level == "problem"]
    assert any(text.startswith("LIVE_DIFFUSION_STEPS in the environment: ") for text in wrong)
    assert any("udp_port_min and udp_port_max go together" in text for text in wrong)
    assert any(text.startswith("LIVE_DIFFUSION_AUTH_TOKEN in the environment: must be") for text in wrong)
    [unknown] = [line for line in found if line.level == "warning"]
    assert unknown.text == "LIVE_DIFFUSION_PORTT is not a setting; did you mean LIVE_DIFFUSION_PORT?"
    assert all(line.fix for line in found)


def test_secrets_are_configured_and_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    inherited: list[str] = []  # by the process in which torch is asked

    def torch(config: Config) -> list[Finding]:
        inherited.extend(os.environ.values())
        return [ok("left out")]

    monkeypatch.setattr(gpu, "torch", torch)
    monkeypatch.setenv("LIVE_DIFFUSION_AUTH_TOKEN", TOKEN)
    monkeypatch.setenv("LIVE_DIFFUSION_TURN_URL", "turn:127.0.0.1:3478")
    monkeypatch.setenv("LIVE_DIFFUSION_TURN_SECRET", SECRET)
    servers = json.dumps([{"urls": "turn:a.example", "username": "me", "credential": SECRET}])
    monkeypatch.setenv("LIVE_DIFFUSION_ICE_SERVERS", servers)
    code, report = doctor("--quick", "--host", "0.0.0.0")
    assert code == 0
    [configured] = lines(report, "configuration")
    assert "auth_token=****" in configured.text
    assert inherited
    assert not [value for value in inherited if TOKEN in value or SECRET in value]
    assert lines(report, "access")[0].text == "other machines reach 0.0.0.0; a token is asked for"
    assert "addresses: 2, not asked; doctor --net does" in lines(report, "STUN, TURN")[0].text
    [camera] = lines(report, "camera")
    assert (camera.level, "--tls auto" in camera.fix) == ("warning", True)


def test_where_browsers_get_a_camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert access.camera(Config())[0] == ok("open http://localhost:8000: browsers give pages of localhost the camera")
    assert access.camera(Config(port=0))[0] == ok("browsers give pages of localhost the camera")
    assert access.camera(Config(host="0.0.0.0"))[0].text.endswith("no camera; localhost gets it")
    assert access.camera(Config(host="192.0.2.1"))[0].text.endswith("no camera")
    monkeypatch.setattr(access, "own_folder", lambda: tmp_path)
    assert access.camera(Config(tls="auto"))[0].text == "the page is served over https: browsers give it the camera"
    assert not list(tmp_path.iterdir())
    (tmp_path / "cert.pem").write_text("no certificate")
    [bad] = access.camera(Config(tls=f"{tmp_path}/cert.pem,{tmp_path}/key.pem"))
    assert (bad.level, "cannot be used" in bad.text) == ("problem", True)
    monkeypatch.setattr(access, "own_folder", lambda: tmp_path / "cert.pem" / "state")
    [nowhere] = access.camera(Config(tls="auto"))
    assert (nowhere.level, nowhere.text.endswith("/state: Not a directory")) == ("problem", True)
    monkeypatch.setattr(access, "is_kept", lambda folder, names: True)
    assert access.camera(Config(tls="auto"))[0].level == "ok"


class _Version(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"version": "9.9", "protocol": 1}' if self.path == "/api/version" else b"")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def other_server() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), _Version)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_taken_port_and_by_whom(other_server: int, no_torch: None, monkeypatch: pytest.MonkeyPatch) -> None:
    code, report = doctor("--quick", "--port", str(other_server))
    [ours] = lines(report, "address")
    assert (code, ours.level) == (3, "problem")  # as serve ends with it
    assert "a Live Diffusion server (9.9) listens there already" in ours.text
    monkeypatch.setattr(ports, "ANSWER_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        code, report = doctor("--quick", "--port", str(port))
    [theirs] = lines(report, "address")
    assert (code, theirs.level) == (3, "problem")
    assert theirs.text == f"port {port} on 127.0.0.1 is taken by another program"
    assert theirs.fix == "Stop it, or choose another --port."
    [free] = ports.http(Config(port=port))
    assert free == ok(f"port {port} on 127.0.0.1 is free")
    [absent] = ports.http(Config(host="192.0.2.1", insecure_public=True))
    assert (absent.level, "no such address" in absent.text) == ("problem", True)


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="no IPv6 here")
def test_a_port_that_is_taken_for_ipv4_only_is_free_for_ipv6() -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        assert ports.http(Config(host="::", port=port)) == [ok(f"port {port} on :: is free")]


@pytest.mark.parametrize(
    ("count", "level"),
    [(24, "ok"), (12, "ok"), (11, "warning"), (2, "warning"), (1, "problem")],
)
def test_udp_range_at_its_limits(count: int, level: str) -> None:
    first, _ = free_ports(24)
    config = Config(udp_port_min=first, udp_port_max=first + count - 1, max_sessions=2, queue_length=1)
    [finding] = ports.udp_range(config)
    assert finding.level == level
    assert f"{count} of {count} tried are free" in finding.text
    assert (f"_MIN={first}, _MAX={first + 11}" in finding.fix) is (level != "ok")


def test_a_range_too_small_for_its_sessions(no_torch: None, monkeypatch: pytest.MonkeyPatch) -> None:
    first, last = free_ports(3)
    for name, value in (("UDP_PORT_MIN", first), ("UDP_PORT_MAX", last)):
        monkeypatch.setenv(f"LIVE_DIFFUSION_{name}", str(value))
    code, report = doctor("--quick", "--max-sessions", "4", "--host", "0.0.0.0", "--insecure-public")
    [open_to_all] = lines(report, "access")
    assert (open_to_all.level, "AUTH_TOKEN" in open_to_all.fix) == ("warning", True)
    [line] = lines(report, "UDP ports")
    assert (code, line.level) == (3, "problem")
    assert "for 4 sessions at a time" in line.text
    assert line.fix.startswith(f"Make it 48 ports: LIVE_DIFFUSION_UDP_PORT_MIN={first}, _MAX={first + 47};")


def test_udp_ports_in_use_are_counted() -> None:
    first, last = free_ports(3)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", last))
        [finding] = ports.udp_range(Config(udp_port_min=first, udp_port_max=last, max_sessions=3))
    assert (finding.level, "2 of 3 tried are free on 127.0.0.1" in finding.text) == ("problem", True)


def test_an_address_where_udp_does_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "addresses", lambda: ["192.0.2.1", "127.0.0.1"])  # the first is not this machine's
    passing, failing = ports.udp(Config())
    assert passing == ok("UDP passes on 127.0.0.1")
    assert (failing.level, failing.text) == ("warning", "UDP does not pass on 192.0.2.1")


@pytest.fixture
def turn(monkeypatch: pytest.MonkeyPatch) -> Iterator[TurnServer]:
    with TurnServer(SECRET) as server:
        monkeypatch.setenv("LIVE_DIFFUSION_TURN_URL", f"turn:{server.address}")
        monkeypatch.setenv("LIVE_DIFFUSION_TURN_SECRET", SECRET)
        monkeypatch.setenv("LIVE_DIFFUSION_ICE_SERVERS", f"stun:{server.address}")
        monkeypatch.setattr(probe, "ANSWER_TIMEOUT", 1.0)
        monkeypatch.setattr(probe, "CARRY_TIMEOUT", 0.5)
        yield server


def test_stun_and_turn_round_trip(turn: TurnServer, no_torch: None) -> None:
    code, report = doctor("--quick", "--net")
    stun_line, turn_line = lines(report, "STUN, TURN")
    assert code == 0
    assert stun_line.text == f"stun:{turn.address}: this machine is seen as 127.0.0.1"
    assert turn_line.text.startswith(f"turn:{turn.address}: gave 127.0.0.1:")
    assert turn_line.text.endswith("packets come through it")
    assert (turn.given, turn.allocations) == (2, {})  # and given back


def test_turn_that_gives_and_carries_nothing(turn: TurnServer, no_torch: None) -> None:
    turn.carries = False
    code, report = doctor("--quick", "--net")
    _, line = lines(report, "STUN, TURN")
    assert (code, line.level) == (0, "warning")
    assert "no packet came through it" in line.text
    assert "relay ports" in line.fix


def test_turn_that_does_not_answer_or_refuses(
    turn: TurnServer, no_torch: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVE_DIFFUSION_TURN_SECRET", "another one, not coturn's")
    code, report = doctor("--quick", "--net")
    _, line = lines(report, "STUN, TURN")
    assert (code, line.level) == (3, "problem")
    assert line.text == f"turn:{turn.address}: it does not take the user name and password (STUN error 401)"
    turn.silent = True
    code, report = doctor("--quick", "--net")
    stun_line, turn_line = lines(report, "STUN, TURN")
    assert (code, stun_line.level, turn_line.level) == (3, "warning", "problem")
    assert turn_line.text == f"turn:{turn.address}: no answer in 1 s"
    assert "Check name, port and secret" in turn_line.fix


@pytest.fixture
def diffusion(monkeypatch: pytest.MonkeyPatch) -> None:
    if reason := registry.ENTRIES["diffusion"].missing():
        pytest.skip(reason)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


def test_a_model_cache_that_cannot_be_written(diffusion: None, no_torch: None, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / ".env").write_text(f"MODEL_DIR={tmp_path}/file/models\nPORT=0\n")
    code, report = doctor("--quick", "--pipeline", "diffusion")
    [line] = lines(report, "models")
    assert (code, line.level) == (3, "problem")
    assert line.text == f"models cannot be stored in {tmp_path}/file/models: Not a directory"
    assert line.fix == "Set LIVE_DIFFUSION_MODEL_DIR to another folder."


def test_a_model_that_is_not_here(diffusion: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVE_DIFFUSION_MODEL_DIR", str(tmp_path / "models"))
    config = Config(pipeline="diffusion")
    held, line = model_cache.models(config)
    assert held == ok(f"models in {tmp_path}/models: none")
    assert (line.level, line.fix) == ("warning", "Run: live-diffusion models pull sd-turbo")
    assert painting.worker(config) == [ok("not tried: the model is not here yet")]  # a doctor fetches nothing
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1e9})())
    assert "the disk of" in model_cache.models(config)[1].text
    assert model_cache.models(config)[1].level == "problem"
    monkeypatch.setattr(model_cache, "choose", lambda name: registry.Choice("diffusion", "it can"))
    assert model_cache.models(Config())[1].level == "warning"  # `auto` takes the next
    monkeypatch.setattr("pipeline.hub.disk_usage", lambda source: 4e9)
    assert "fetches up to" in model_cache.models(config)[1].text  # what is here need not come
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 0.1e9})())
    assert "the disk of" in model_cache.models(config)[1].text  # some has to stay free
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert model_cache.models(config)[1].level == "problem"
    [unknown] = model_cache.models(Config(pipeline="diffusion", model="sd-turbo2"))
    assert (unknown.level, "There is no model 'sd-turbo2'" in unknown.text) == ("problem", True)
    assert not (tmp_path / "models").exists()


def test_a_worker_that_cannot_start(faults: None, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config().model_copy(update={"pipeline": "fault"})  # which no configuration may name
    monkeypatch.chdir(ROOT)  # where the worker finds it
    monkeypatch.setenv(LOAD_VARIABLE, "fail")
    [line] = painting.worker(config, WORKER)
    assert (line.level, line.text) == ("problem", "cannot be loaded from fault.bin, on command")
    monkeypatch.setenv(LOAD_VARIABLE, "exit 3")
    [line] = painting.worker(config, WORKER)
    assert (line.level, line.text) == ("problem", "the picture process ended while it started fault")
    monkeypatch.setenv(LOAD_VARIABLE, "hang")
    monkeypatch.setattr(painting, "START_TIMEOUT", 0.5)
    [line] = painting.worker(config, WORKER)
    assert (line.level, line.text) == ("problem", "fault painted nothing in 0 s")


def test_a_pipeline_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.registry.Entry.missing", lambda self: "numpy not installed")
    [line] = painting.pipeline(Config(pipeline="effects"))
    assert (line.level, line.text) == ("problem", "pipeline effects cannot run: numpy not installed")


@pytest.fixture
def interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Has another program stand where Python does, for what torch is asked."""

    def use(script: str) -> None:
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))

    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    return use


def test_torch_broken_in_every_way(interpreter: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    interpreter("echo 'ImportError: libcudart.so: no such file' >&2; exit 1")
    [line] = gpu.torch(Config())
    assert line.level == "warning"
    assert line.text == "torch is installed and broken: ImportError: libcudart.so: no such file"
    interpreter("kill -SEGV $$")
    assert gpu.torch(Config())[0].text == "torch is installed and broken: exit code -11"
    monkeypatch.setattr(gpu, "TORCH_TIMEOUT", 0.2)
    interpreter("exec sleep 60")
    assert gpu.torch(Config())[0].text == "torch could not be imported in 0 s"


def test_torch_with_a_gpu_and_without(interpreter: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    def says(cuda: str | None, gpus: list[tuple[str, int, int]]) -> None:
        facts = {"version": "2.9", "cuda": cuda, "available": bool(gpus), "gpus": gpus}
        interpreter(f"echo '{json.dumps(facts)}'")

    says("12.8", [("H100", 70_000_000_000, 80_000_000_000)])
    [line] = gpu.torch(Config())
    assert (line.level, line.text.endswith("True: H100 with 70.0 of 80.0 GB free")) == ("ok", True)
    monkeypatch.setattr(gpu, "has_gpu", lambda: True)
    says(None, [])
    assert "this build of torch knows no GPU" in gpu.torch(Config())[0].text
    says("12.8", [])
    [line] = gpu.torch(Config(gpu_device=3))
    assert (line.level, "torch finds no GPU 3" in line.text) == ("warning", True)


def test_the_driver_in_its_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "has_gpu", lambda: True)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "no nvidia-smi" in gpu.driver(Config())[0].text
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA H100, 570.1, 81559 MiB, 3 MiB'\n")
    tool.chmod(0o755)
    assert gpu.driver(Config()) == [ok("GPU 0: NVIDIA H100, 570.1, 81559 MiB, 3 MiB used (name, driver, memory)")]
    tool.write_text("#!/bin/sh\necho 'Driver/library version mismatch'\nexit 18\n")
    [line] = gpu.driver(Config())
    assert (line.level, "Driver/library version mismatch" in line.text) == ("warning", True)


def test_a_library_that_is_not_what_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ["aiortc>=99", "av>=1", "torch>=99; extra == 'diffusion'"]
    monkeypatch.setattr("importlib.metadata.requires", lambda name: asked)
    found = software.libraries(Config())
    assert [line.level for line in found] == ["ok", "warning"]
    assert found[1].text == f"aiortc {metadata.version('aiortc')} is not what is tried, >=99"


def test_a_container_with_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("CONTAINER_LIMIT", "2000000000"),
        ("CONTAINER_USE", "1500000000"),
        ("CONTAINER_STAT", "anon 1\nfile 7\n"),
    ):
        (tmp_path / name).write_text(value)
        monkeypatch.setattr(machine, name, tmp_path / name)
    [line] = machine.memory(Config())
    assert (line.level, line.text) == ("warning", "memory of this container: 2.0 GB, 0.5 GB free")
    (tmp_path / "CONTAINER_STAT").write_text("anon 1\ninactive_file 1000000000\n")  # read once, from the disk
    assert machine.memory(Config()) == [ok("memory of this container: 2.0 GB, 1.5 GB free")]
    (tmp_path / "CONTAINER_LIMIT").write_text("max")
    assert "of this container" not in machine.memory(Config())[0].text


def test_no_check_can_break_or_hold_up_the_report() -> None:
    def breaks() -> list[Finding]:
        raise RuntimeError("what it met")

    [line] = checks.run(Check("one", breaks))
    assert (line.level, line.text) == ("warning", "this check failed: RuntimeError: what it met")
    released = threading.Event()

    def hangs() -> list[Finding]:
        released.wait(20)
        return [ok("too late")]

    assert checks.run(Check("two", hangs, 0.1))[0].text == "no answer in 0 s"
    released.set()
    assert checks.run(Check("three", lambda: [warning("a", "b")])) == [warning("a", "b")]
