"""What never leaves: secrets, prompts and session ids are in no log, error or public answer; names are no paths."""

from __future__ import annotations

import base64
import json
import logging
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from pipeline import catalog
from tests.conftest import StartServer
from tests.fakes.rtc_client import RtcClient
from tests.fakes.server import RunningServer
from tests.webrtc_server.test_connections import connected
from tests.webrtc_server.test_websocket import client_of
from webrtc_server.observe import log
from webrtc_server.protocol.error_codes import ClientError, Code
from webrtc_server.static_files import static_dir

TOKEN, TURN, CREDENTIAL = "t0ps3cret-token-of-the-owner", "t0ps3cret-of-coturn", "t0ps3cret-credential"
PROMPT = "a planted prompt"
EVIL = 'planted\r\n{"event": "all is well"}\x1b[2J'


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before
    logging.getLogger("websockets").setLevel(logging.NOTSET)
    structlog.reset_defaults()


@pytest.mark.usefixtures("logging_as_before")
async def test_secrets_prompts_and_session_ids_are_in_no_log_and_no_answer(
    start_server: StartServer, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    log.setup("debug", "json", (TOKEN, TURN, CREDENTIAL))
    logging.getLogger("websockets").setLevel(logging.WARNING)  # the other side's
    server = await start_server(
        "identity",
        auth_token=TOKEN,
        turn_url="turn:127.0.0.1:1",
        turn_secret=TURN,
        ice_servers=json.dumps([{"urls": "turn:127.0.0.1:1", "username": "u", "credential": CREDENTIAL}]),
    )
    bearer, answers = {"Authorization": f"Bearer {TOKEN}"}, []
    planted = [PROMPT, EVIL]
    async with (
        RtcClient(server.url, 320, 240, token=TOKEN, settings={"prompt": PROMPT}) as client,
        aiohttp.ClientSession(server.url) as http,
    ):
        session_id, view_id = client.answer["session_id"], client.answer["view_id"]
        await client.message("status")
        for prompt in planted:
            client.send("settings", {"prompt": prompt, EVIL: 1})
            answers.append(str(await client.message("error")))
            async with http.patch(f"/api/sessions/{session_id}/settings", json={"prompt": prompt}, headers=bearer):
                pass
        client.send(EVIL, {})
        client.send("load_model", {"model": EVIL})

        name = base64.urlsafe_b64encode(TOKEN.encode()).rstrip(b"=").decode()
        for offered in ("unknown", f"bearer.{name}"):  # none that the server knows
            with pytest.raises(InvalidStatus):
                await connect(server.url.replace("http", "ws") + "/ws", subprotocols=[Subprotocol(offered)])
        async with connect(
            server.url.replace("http", "ws") + "/ws",
            subprotocols=[Subprotocol(f"bearer.{name}")],
            additional_headers=bearer,
        ):
            pass
        async with connected(server) as connection:
            await connection.send(f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization : Bearer {TOKEN}\r\n\r\n".encode())
            assert await connection.reader.read(12) == b"HTTP/1.0 400"

        gets = ["/", "/healthz", "/readyz", "/api/version", "/api/status", "/api/models", "/api/settings/schema"]
        for path in (*gets, f"/nothing/{TOKEN}?token={TOKEN}", "/api/sessions/x/view-token"):
            for headers in (bearer, {"Authorization": f"Bearer {TOKEN}x"}, {"X-Forwarded-For": "forged"}):
                async with http.get(path, headers=headers) as response:
                    answers.append(f"{response.headers} {await response.text()}")
        async with http.get("/api/ice", headers=bearer) as response:
            assert TURN not in await response.text()

        def fail(_: str) -> None:
            raise RuntimeError(f"{TOKEN} {TURN} {EVIL}")

        monkeypatch.setattr(server.manager, "find", fail)
        async with http.delete(f"/api/sessions/{session_id}", headers=bearer) as response:
            answers.append(f"{response.status} {await response.text()}")
            assert response.status == 500
    await server.close()
    written = capfd.readouterr().err
    assert "request failed" in written
    for secret in (TOKEN, TURN, CREDENTIAL, name):
        assert secret not in written
        assert not any(secret in answer for answer in answers)
    assert PROMPT not in written
    assert session_id not in written
    assert view_id not in written
    assert f'"session": "{view_id[:6]}"' in written
    assert "\x1b" not in written
    for line in written.splitlines():
        assert json.loads(line)["event"]


# Model keys (T15)

KEYS = [
    "../../etc/passwd",
    "/etc/passwd",
    "..\\..\\windows",
    "file:///etc/passwd",
    "https://models.example/x.safetensors",
    "stabilityai/sd-turbo",
    "owner/name@main",
    "sd-turbo@main",
    "SD-TURBO",
    "sd-turbo ",
    "\uff53d-turbo",  # as it looks, not as it is
    "~/.ssh",
    "$HOME",
    ".",
    "",
    "a" * 5000,
    "nul\0byte",
    "\ud800",
]

_watched: list[tuple[str, object]] | None = None
_watched_thread = 0
FORBIDDEN = (
    "open",
    "os.",
    "socket.connect",
    "socket.getaddrinfo",
    "subprocess.",
    "shutil.",
    "glob.",
    "import",
    "urllib.",
)


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if _watched is not None and threading.get_ident() == _watched_thread and event.startswith(FORBIDDEN):
        _watched.append((event, arguments))


sys.addaudithook(_audit)  # cannot be taken away again; without a watcher it does nothing


@contextmanager
def watched() -> Iterator[list[tuple[str, object]]]:
    """What this thread asks of files, network and processes; `stat`, which tells no audit hook, with them."""
    global _watched, _watched_thread
    seen: list[tuple[str, object]] = []
    real = os.stat

    def stat(path: str | Path, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> os.stat_result:
        seen.append(("stat", path))
        return real(path, dir_fd=dir_fd, follow_symlinks=follow_symlinks)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "stat", stat)
        _watched, _watched_thread = seen, threading.get_ident()
        try:
            yield seen
        finally:
            _watched = None


def test_the_watch_sees_what_it_is_for(tmp_path: Path) -> None:
    with watched() as seen:
        (tmp_path / "x").exists()
        (tmp_path / "x").write_text("")
        os.listdir(tmp_path)
    assert {event for event, _ in seen} == {"stat", "open", "os.listdir"}


@pytest.mark.usefixtures("models_on_command")
async def test_a_models_name_is_never_a_path_or_an_address(start_server: StartServer, tmp_path: Path) -> None:
    server = await start_server("greys", model=str(tmp_path))
    async with client_of(server.url) as client:
        await client.message("status")
        with watched() as seen:
            for key in [*KEYS, str(tmp_path)]:
                await client.send("load_model", {"model": key})
                assert (await client.message("error"))["code"] in ("unknown_model", "bad_message"), key
        assert seen == []


@pytest.mark.logs_errors("the worker is stalled")  # its pongs are not heard while hypothesis holds the event loop
@pytest.mark.usefixtures("models_on_command")
async def test_any_text_as_a_models_name(start_server: StartServer) -> None:
    server = await start_server("greys")
    models = server.manager.painters.models
    names = set(catalog.models())

    @settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.one_of(st.text(), st.sampled_from(KEYS), st.sampled_from(sorted(names)).map(lambda name: name + "/")))
    def check(key: str) -> None:
        with watched() as seen, pytest.raises(ClientError) as caught:
            models.load(key, lambda _: None)
        assert caught.value.code == Code.UNKNOWN_MODEL
        assert seen == []

    check()
    assert models.switching is None


# Static files (T19)


async def test_static_files_are_those_of_the_page_only(
    start_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "static"
    shutil.copytree(static_dir(), folder)
    (tmp_path / "outside.txt").write_text("outside")
    (folder / "link.txt").symlink_to(tmp_path / "outside.txt")
    (folder / "up").symlink_to(tmp_path)
    (folder / "inside.txt").write_text("inside")
    monkeypatch.setattr("webrtc_server.web.pages.static_dir", lambda: folder)
    server = await start_server("identity")
    outside = [
        "../outside.txt",
        "%2e%2e/outside.txt",
        "..%2foutside.txt",
        "..%5coutside.txt",
        "js/../../outside.txt",
        "js/%2e%2e%2f%2e%2e%2foutside.txt",
        "link.txt",
        "up/outside.txt",
        f"{tmp_path}/outside.txt",
        "%00",
        "",
        "js",
        "js/",
    ]
    for path in outside:
        status, body = await get(server, f"/static/{path}")
        assert status in (403, 404), path
        assert "outside" not in body
    assert await get(server, "/static/inside.txt") == (200, "inside")


async def get(server: RunningServer, path: str) -> tuple[int, str]:
    """As the path stands: clients tidy it up."""
    async with connected(server) as connection:
        await connection.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = (await connection.reader.read()).decode()
    head, _, body = answer.partition("\r\n\r\n")
    return int(head.split(" ")[1]), body
