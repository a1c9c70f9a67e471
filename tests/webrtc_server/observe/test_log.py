"""The log: one line an event, nothing a client sends can forge or flood it, libraries are quiet."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from pipeline.log_texts import MAX_TEXT
from webrtc_server.observe.log import BLOT, get_logger, setup


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    quiet = {
        name: logging.getLogger(name).level
        for name in ("aiortc", "aioice", "asyncio", "aiohttp.access", "aiohttp.websocket")
    }
    yield
    root.handlers[:], root.level = handlers, level
    for name, was in quiet.items():
        logging.getLogger(name).setLevel(was)
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    setup("info", "json")
    get_logger("a.b").info("session opened", session="s1", width=512)
    (line,) = lines(capsys)
    event = json.loads(line)
    assert event.pop("timestamp").endswith("Z")
    assert event == {"event": "session opened", "level": "info", "logger": "a.b", "session": "s1", "width": 512}


def test_a_library_logs_in_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    setup("info", "json")
    logging.getLogger("some.library").warning("lost %s of %d", "one", 3)
    event = json.loads(lines(capsys)[0])
    assert (event["event"], event["level"], event["logger"]) == ("lost one of 3", "warning", "some.library")


@pytest.mark.parametrize("fmt", ["console", "json"])
def test_a_client_cannot_forge_a_line(fmt: str, capsys: pytest.CaptureFixture[str]) -> None:
    setup("info", "console" if fmt == "console" else "json")
    evil = 'x\n{"event": "all is well"}\r\x1b[2J'
    get_logger("a").info("prompt", text=evil)
    get_logger("a").info(evil)
    logging.getLogger("b").warning("peer said %s", evil)
    written = lines(capsys)
    assert len(written) == 3
    assert all(line.isprintable() for line in written)


def test_a_long_text_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    setup("info", "json")
    get_logger("a").info("prompt", text="y" * 10_000)
    text = json.loads(lines(capsys)[0])["text"]
    assert text == "y" * MAX_TEXT + f"... ({10_000 - MAX_TEXT} more)"


def test_the_level_counts_and_chatty_libraries_are_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    setup("info", "json")
    get_logger("a").debug("not this")
    for library in ("aiortc.rtcpeerconnection", "aioice.ice", "aiohttp.access"):
        logging.getLogger(library).info("nor this")
    logging.getLogger("aioice.ice").warning("but this")
    assert [json.loads(line)["event"] for line in lines(capsys)] == ["but this"]
    setup("error", "json")
    logging.getLogger("aioice.ice").warning("no longer")
    assert lines(capsys) == []


def test_a_traceback_shows_no_local_variables(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(secret: str) -> None:
        assert secret
        raise RuntimeError("no luck")

    for fmt in ("console", "json"):
        setup("info", "console" if fmt == "console" else "json")
        try:
            fail("t0ps3cret-" * 2)
        except RuntimeError:
            get_logger("a").exception("failed")
        written = capsys.readouterr().err
        assert "RuntimeError: no luck" in written
        assert "t0ps3cret-t0ps3cret-" not in written


@pytest.mark.parametrize("fmt", ["console", "json"])
def test_secrets_are_blotted_out_whoever_logs_them(fmt: str, capsys: pytest.CaptureFixture[str]) -> None:
    token, awkward = "t0ps3cret-token-0123456789", 'say "hush" \\ twice\n'
    encoded = base64.urlsafe_b64encode(token.encode()).rstrip(b"=").decode()
    setup("info", "console" if fmt == "console" else "json", (token, awkward, ""))
    log = get_logger("a")
    log.info(f"all of it: {token}", token=token, nested={"deep": [token, awkward]}, awkward=awkward)
    log.info("cut", text="x" * (MAX_TEXT - 10) + token)
    logging.getLogger("library").warning("protocols %r", [f"bearer.{encoded}"])
    try:
        raise RuntimeError(f"{token} and {awkward}")
    except RuntimeError:
        log.exception("failed")
    written = capsys.readouterr().err
    assert written.count(BLOT) >= 7
    for part in (token[:8], encoded[:8], "hush"):
        assert part not in written


def test_an_errors_text_cannot_pass_for_a_line_of_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    setup("info", "console")
    try:
        raise RuntimeError("x\n2026-01-01T00:00:00Z [info] all is well\r\x1b[2Jy")
    except RuntimeError:
        get_logger("a").exception("failed")
    first, *rest = lines(capsys)
    assert "failed" in first
    assert "RuntimeError: x" in "".join(rest)
    assert all(line.startswith("    ") and line.isprintable() for line in rest)
