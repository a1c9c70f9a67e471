"""The command line: what it answers without a server, its exit codes, and what it hands to the server."""

from __future__ import annotations

import errno
import inspect
import os
import socket
import subprocess
import sys
import types
from pathlib import Path

import pytest

from webrtc_server import __version__
from webrtc_server.cli import browser, main
from webrtc_server.cli.serve import serve
from webrtc_server.config import Config


class Server:
    """Stands where `webrtc_server.web.process` stands: notes how it was run, and ends as it is told."""

    def __init__(self) -> None:
        self.runs: list[tuple[Config, str, str]] = []
        self.code = 0
        self.error: Exception | None = None

    def run(self, config: Config, pipeline: str, reason: str, watch_worker: object = None) -> int:
        self.runs.append((config, pipeline, reason))
        if self.error:
            raise self.error
        return self.code


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Server:
    stand_in = Server()
    module = types.ModuleType("webrtc_server.web.process")
    module.run = stand_in.run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "webrtc_server.web.process", module)
    monkeypatch.setattr("webrtc_server.observe.log.setup", lambda level, fmt, secrets: None)
    monkeypatch.chdir(tmp_path)  # a .env of the checkout must not decide what these tests see
    return stand_in


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["live-diffusion", *arguments])
    with pytest.raises(SystemExit) as caught:
        main.main()
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_serve_is_the_default_command(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "--port", "9000", "--pipeline", "identity") == 0
    assert run(monkeypatch, "serve", "--port", "9000", "--pipeline", "identity") == 0
    assert run(monkeypatch) == 0
    first, second, bare = server.runs
    assert first == second
    assert (first[0].port, first[1], first[2]) == (9000, "identity", "asked for")
    assert bare[0] == Config()


def test_every_flag_reaches_the_configuration(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "host": "0.0.0.0",
        "port": 0,
        "pipeline": "identity",
        "prompt": "a field of sunflowers",
        "width": 256,
        "height": 320,
        "insecure_public": True,
        "max_sessions": 3,
        "video_bitrate_kbps": 900,
        "log_level": "error",
        "log_format": "json",
    }
    flags = set(inspect.signature(serve).parameters) - {"browser"}
    assert flags == set(values)
    arguments = [
        part
        for name, value in values.items()
        for part in ([f"--{name.replace('_', '-')}"] if value is True else [f"--{name.replace('_', '-')}", str(value)])
    ]
    assert run(monkeypatch, *arguments, "--no-browser") == 0
    assert server.runs[0][0].model_dump(include=flags) == values


def test_invalid_configuration_is_2(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--port", "99999") == 2
    assert "error: --port: " in capsys.readouterr().err
    assert run(monkeypatch, "--no-such-flag") == 2
    assert server.runs == []


def test_does_not_start_for_everybody_unless_that_is_meant(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--host", "0.0.0.0", "--pipeline", "identity") == 2
    assert "error: --host: other machines reach this address" in capsys.readouterr().err
    assert server.runs == []
    assert run(monkeypatch, "--host", "0.0.0.0", "--insecure-public", "--pipeline", "identity") == 0
    monkeypatch.setenv("LIVE_DIFFUSION_AUTH_TOKEN", "sixteen-letters.")
    assert run(monkeypatch, "--host", "0.0.0.0", "--pipeline", "identity") == 0
    assert [config.auth_token is not None for config, _, _ in server.runs] == [False, True]
    assert "LIVE_DIFFUSION_AUTH_TOKEN" not in os.environ  # which the worker would inherit


def test_a_pipeline_that_cannot_run_is_3(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pipeline.registry.Entry.missing", lambda self: "numpy not installed")
    assert run(monkeypatch, "--pipeline", "effects") == 3
    assert capsys.readouterr().err == "error: pipeline effects cannot run: numpy not installed\n"
    assert run(monkeypatch) == 3
    assert server.runs == []


def test_a_taken_address_is_3_and_other_failures_stay_crashes(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.error = OSError(errno.EADDRINUSE, "Address already in use")
    assert run(monkeypatch, "--pipeline", "identity") == 3
    assert "cannot listen on 127.0.0.1:8000: Address already in use" in capsys.readouterr().err
    server.error = OSError(errno.EIO, "disk")
    monkeypatch.setattr(sys, "argv", ["live-diffusion", "--pipeline", "identity"])
    with pytest.raises(OSError, match="disk"):
        main.main()


def test_the_servers_own_code_is_the_exit_code(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.code = 3
    assert run(monkeypatch, "--pipeline", "identity") == 3


def test_says_which_pipeline_runs_and_why(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, "--pipeline", "identity")
    assert capsys.readouterr().out == "pipeline identity: Identity (bypass), asked for\n"


def test_version_and_help_import_no_server() -> None:
    code = (
        "import sys; sys.argv = ['live-diffusion', '{}']\n"
        "from webrtc_server.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {{'aiohttp', 'aiortc', 'av', 'onnxruntime'}} & set(sys.modules)\n"
        "sys.exit(f'imported {{heavy}}' if heavy else 0)"
    )
    for flag, expected in (("--version", f"live-diffusion {__version__}"), ("--help", "serve")):
        done = subprocess.run([sys.executable, "-c", code.format(flag)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert expected in done.stdout


def test_the_browser_opens_once_the_server_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        browser._wait_and_open("127.0.0.1", port)
    assert opened == [f"http://127.0.0.1:{port}"]


def test_no_browser_where_the_server_never_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr(browser, "_PATIENCE_S", 0.3)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, never listening: connections are refused
        browser._wait_and_open("127.0.0.1", closed.getsockname()[1])
    assert opened == []
