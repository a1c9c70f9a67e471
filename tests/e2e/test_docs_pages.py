"""/docs and /redoc in a real browser: they show the document, by themselves and without a word to any other server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Playwright, expect

from tests.e2e.chromium import DEADLINE, EXECUTABLE, Server, Watched, chromium

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(EXECUTABLE is None, reason="no Chromium here; on Debian: apt-get install chromium"),
]
TOKEN = "correct-horse-battery-staple"
SERVER = ("--pipeline", "identity")


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    with chromium(playwright, None) as started:
        yield started


@pytest.fixture(scope="module")
def guarded_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIVE_DIFFUSION_AUTH_TOKEN", TOKEN)
        running = Server(tmp_path_factory.mktemp("server") / "log", *SERVER)
        running.start()
        yield running
        running.stop()


@pytest.fixture
def watched(browser: Browser, guarded_server: Server) -> Iterator[Watched]:
    page = browser.new_page()
    page.set_default_timeout(DEADLINE * 1000)
    found = Watched(page, guarded_server.url)
    page.on("console", lambda message: found.offences.append(message.text) if message.type == "error" else None)
    yield found
    page.close()


def see(what: Locator) -> None:
    expect(what).to_be_visible(timeout=DEADLINE * 1000)


def test_swagger_ui_shows_the_document_and_tries_it_out_with_a_token(watched: Watched) -> None:
    page = watched.page
    page.goto(f"{watched.origin}/docs")
    see(page.get_by_text("Start a session over WebRTC"))
    page.get_by_role("button", name="Authorize").first.click()
    page.get_by_label("auth-bearer-value").first.fill(TOKEN)
    page.locator(".auth-btn-wrapper .authorize").first.click()
    page.locator(".btn-done").first.click()
    operation = page.locator("#operations-Server-serverStatus")
    operation.click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    see(operation.locator(".live-responses-table").get_by_role("cell", name="200"))
    assert watched.offences == []


def test_redoc_shows_the_document(watched: Watched) -> None:
    watched.page.goto(f"{watched.origin}/redoc")
    see(watched.page.get_by_role("heading", name="Start a session over WebRTC"))
    see(watched.page.get_by_text("A complete offer in, a complete answer out: no trickle"))
    assert watched.offences == []
