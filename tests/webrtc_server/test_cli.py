"""The command line: what it answers without a server, its exit codes, and what it hands to the server."""

from __future__ import annotations

import errno
import inspect
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path

import pytest
import segno

from pipeline.settings import Settings
from webrtc_server import __version__
from webrtc_server.cli import main, welcome
from webrtc_server.cli.serve import serve
from webrtc_server.config import PREFIX, Config
from webrtc_server.protocol import asyncapi
from webrtc_server.web import openapi
from webrtc_server.web import tls as tls_module
from webrtc_server.web.process import SIGNALS, CannotListen, why_not
from webrtc_server.web.process import run as process_run
from webrtc_server.web.tls import BadCertificate


class Server:
    """Stands where `webrtc_server.web.process` stands: notes how it was run, listens, and ends as it is told."""

    def __init__(self) -> None:
        self.runs: list[tuple[Config, str, str]] = []
        self.code = 0
        self.error: Exception | None = None

    def run(
        self,
        config: Config,
        pipeline: str,
        reason: str,
        listening: Callable[[int, bool], None],
        watch_worker: object = None,
    ) -> int:
        self.runs.append((config, pipeline, reason))
        if self.error:
            raise self.error
        listening(config.port or 40_000, True)
        return self.code


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Server:
    stand_in = Server()
    module = types.ModuleType("webrtc_server.web.process")
    module.run, module.CannotListen = stand_in.run, CannotListen  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "webrtc_server.web.process", module)
    monkeypatch.setattr("webrtc_server.observe.log.setup", lambda level, fmt, secrets: None)
    clean(monkeypatch, tmp_path)
    return stand_in


def clean(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Neither a file of the checkout nor the environment decides what these tests see."""
    monkeypatch.chdir(folder)
    for name in [name for name in os.environ if name.upper().startswith(PREFIX)]:
        monkeypatch.delenv(name)


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
    Path("other.toml").touch()
    values = {
        "config": "other.toml",
        "host": "0.0.0.0",
        "port": 0,
        "tls": "auto",
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


@pytest.mark.parametrize("which", ["openapi", "asyncapi", "settings"])
def test_schema_prints_a_document(
    which: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "schema", which) == 0
    printed = capsys.readouterr().out
    expected = {
        "openapi": openapi.text(),
        "asyncapi": asyncapi.text(),
        "settings": json.dumps(Settings.model_json_schema(), indent=2) + "\n",
    }
    assert printed == expected[which]
    assert run(monkeypatch, "schema", "soap") == 2


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
    server.error = CannotListen("Address already in use")
    assert run(monkeypatch, "--pipeline", "identity") == 3
    assert "cannot listen on 127.0.0.1:8000: Address already in use" in capsys.readouterr().err
    server.error = OSError(errno.EIO, "disk")
    monkeypatch.setattr(sys, "argv", ["live-diffusion", "--pipeline", "identity"])
    with pytest.raises(OSError, match="disk"):
        main.main()


def test_a_host_that_is_none_is_told_in_the_systems_words(monkeypatch: pytest.MonkeyPatch) -> None:
    bind = OSError(errno.EADDRINUSE, "error while attempting to bind on address ('127.0.0.1', 1)")
    assert why_not(bind) == os.strerror(errno.EADDRINUSE)
    assert why_not(socket.gaierror(socket.EAI_NONAME, "Name or service not known")) == "Name or service not known"
    assert why_not(OSError("could not bind on any address out of []")) == "could not bind on any address out of []"
    before = [signal.getsignal(number) for number in SIGNALS]
    monkeypatch.setattr("webrtc_server.web.process.leave_out_of_collections", lambda: None)
    try:
        with pytest.raises(CannotListen, match="label"):
            process_run(Config(host="a..b"), "identity", "asked for", lambda port, documents: None)
    finally:
        for number, handler in zip(SIGNALS, before, strict=True):
            signal.signal(number, handler)


def test_the_servers_own_code_is_the_exit_code(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.code = 3
    assert run(monkeypatch, "--pipeline", "identity") == 3


def test_says_what_runs_and_why_and_where(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(".env").write_text("PROMPT=fox\nSTEPS=2\n")
    Path("live-diffusion.toml").write_text("width = 256\n")
    run(monkeypatch, "--pipeline", "identity")
    assert capsys.readouterr().out.splitlines() == [
        "pipeline identity: Identity (bypass), asked for",
        "settings: pipeline from the command line; prompt, steps from .env; width from live-diffusion.toml",
        "listening on http://127.0.0.1:8000",
        "open http://localhost:8000 in a browser",
        "API documents: http://localhost:8000/docs",
    ]


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


def test_the_browser_is_opened_where_the_server_listens(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    run(monkeypatch, "--pipeline", "identity", "--port", "0", "--browser", "--tls", "auto")
    for thread in threading.enumerate():
        if thread.name == "open-browser":
            thread.join(5)
    assert opened == ["https://localhost:40000"]


@pytest.mark.parametrize(
    ("host", "here", "others"),
    [
        ("127.0.0.1", "localhost", []),
        ("127.0.0.2", "127.0.0.2", []),
        ("::1", "localhost", []),
        ("192.0.2.7", "192.0.2.7", ["192.0.2.7"]),
        ("studio.local", "studio.local", ["studio.local"]),
        ("0.0.0.0", "localhost", ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"]),
        ("::", "localhost", ["[2001:db8::1]"]),
    ],
)
def test_addresses_are_those_that_can_be_opened(host: str, here: str, others: list[str]) -> None:
    config = Config(host=host, tls="auto")
    addresses = ["192.0.2.1", "2001:db8::1", *(f"192.0.2.{n}" for n in range(2, 6)), "127.0.0.1", "::1"]
    assert welcome.local_url(config, 443) == f"https://{here}:443"
    assert welcome.other_urls(config, 443, addresses) == [f"https://{other}:443" for other in others]


TOKEN = "sixteen-letters."
QR = re.compile("[\u2580\u2584\u2588]{10}")  # half and full blocks


@pytest.mark.parametrize(
    ("terminal", "tls", "encoding", "container", "drawn"),
    [
        (True, "auto", "utf-8", "", True),
        (True, "auto", "iso8859-1", "", False),
        (False, "auto", "utf-8", "", False),
        (True, "off", "utf-8", "", False),
        (True, "auto", "utf-8", "file", False),
        (True, "auto", "utf-8", "variable", False),
    ],
)
def test_a_phone_gets_a_code_on_a_terminal_and_the_token_is_in_nothing_else(
    terminal: bool,
    tls: str,
    encoding: str,
    container: str,
    drawn: bool,
    tmp_path: Path,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    coded: list[str] = []
    make = segno.make

    def note(text: str, micro: bool) -> segno.QRCode:
        coded.append(text)
        return make(text, micro=micro)

    monkeypatch.setattr(segno, "make", note)
    monkeypatch.setattr(tls_module, "addresses", lambda: ["192.0.2.7", "127.0.0.1"])
    monkeypatch.setenv("LIVE_DIFFUSION_AUTH_TOKEN", TOKEN)
    monkeypatch.setattr(welcome, "CONTAINER_MARKS", [tmp_path if container == "file" else tmp_path / "none"])
    monkeypatch.delenv("container", raising=False)
    if container == "variable":
        monkeypatch.setenv("container", "podman")
    written = io.BytesIO()
    stdout = io.TextIOWrapper(written, encoding)
    monkeypatch.setattr(stdout, "isatty", lambda: terminal)
    monkeypatch.setattr(sys, "stdout", stdout)
    run(monkeypatch, "--pipeline", "identity", "--host", "0.0.0.0", "--tls", tls)
    said = written.getvalue().decode(encoding)
    assert f"     {'http' if tls == 'off' else 'https'}://192.0.2.7:8000 on other devices" in said
    assert ("start with --tls auto" in said) == (tls == "off")
    assert bool(QR.search(said)) == drawn
    assert coded == ([f"https://192.0.2.7:8000/#token={TOKEN}"] if drawn else [])
    assert TOKEN not in said


def test_a_certificate_that_cannot_be_used(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.error = BadCertificate("the certificate a.pem is none")
    assert run(monkeypatch, "--pipeline", "identity", "--tls", "a.pem,b.pem") == 2
    assert capsys.readouterr().err == "error: --tls: the certificate a.pem is none\n"
    assert run(monkeypatch, "--pipeline", "identity", "--tls", "auto") == 3  # there is no place to keep one


def test_a_flag_that_is_none_is_told_with_a_near_one(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--prot", "1") == 2
    assert "--port" in capsys.readouterr().err


def test_config_shows_each_value_with_its_place_and_no_secret(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(".env").write_text('PORT=9000\nICE_SERVERS=[{"urls": "turn:a.example", "credential": "hush-hush"}]\n')
    Path("other.toml").write_text("width = 256\nheigth = 256\n")
    monkeypatch.setenv("LIVE_DIFFUSION_AUTH_TOKEN", TOKEN)
    assert run(monkeypatch, "config", "show", "--json", "--config", "other.toml") == 0
    out, err = capsys.readouterr()
    rows = json.loads(out)
    assert rows.keys() == Config.model_fields.keys()
    assert rows["port"] == {"value": 9000, "origin": "PORT in .env"}
    assert rows["width"] == {"value": 256, "origin": "width in other.toml"}
    assert rows["config"] == {"value": "other.toml", "origin": "--config"}
    assert rows["host"] == {"value": "127.0.0.1", "origin": "default"}
    assert rows["auth_token"] == {"value": "**********", "origin": "LIVE_DIFFUSION_AUTH_TOKEN in the environment"}
    assert rows["ice_servers"]["value"][0]["credential"] == "**********"
    assert err == "warning: heigth in other.toml is not a setting; did you mean height?\n"
    assert run(monkeypatch, "config", "show") == 0
    table = capsys.readouterr().out
    assert re.search(r"^port +9000 +PORT in \.env$", table, re.MULTILINE)
    for text in (out, table):
        assert TOKEN not in text
        assert "hush" not in text


def test_config_check_names_every_problem(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "config", "check") == 0
    assert capsys.readouterr().out == "good: all defaults\n"
    Path(".env").write_text("PORT=99999\nWIDTH=500\nLIVE_DIFFUSION_HEIGTH=1\n")
    assert run(monkeypatch, "config", "check") == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "warning: LIVE_DIFFUSION_HEIGTH is not a setting; did you mean LIVE_DIFFUSION_HEIGHT?"
    assert [line.partition(".env: ")[0] for line in said[1:]] == ["error: PORT in ", "WIDTH in "]
    Path(".env").write_text("TLS=missing.pem,missing.key\n")
    assert run(monkeypatch, "config", "check") == 2
    assert "error: TLS in .env: the certificate missing.pem" in capsys.readouterr().err
    Path(".env").unlink()
    Path("live-diffusion.toml").write_text("port =\n")
    assert run(monkeypatch, "config", "check") == 2
    assert "live-diffusion.toml cannot be read: Invalid value (at line 1, column 7)" in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "name"), [((), ".env"), (("--toml",), "live-diffusion.toml")])
def test_config_init_writes_a_file_and_never_over_one(
    arguments: tuple[str, ...],
    name: str,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, "config", "init", *arguments) == 0
    written = Path(name).read_text()
    assert "8000" in written
    assert Path(name).stat().st_mode & 0o777 == 0o600
    Path(name).write_text("# mine\n")
    assert run(monkeypatch, "config", "init", *arguments) == 2
    assert capsys.readouterr().err == f"error: {name} is there already; --force writes over it\n"
    assert Path(name).read_text() == "# mine\n"
    Path(name).chmod(0o644)
    assert run(monkeypatch, "config", "init", "--force", *arguments) == 0
    assert Path(name).read_text() == written
    assert Path(name).stat().st_mode & 0o777 == 0o600
