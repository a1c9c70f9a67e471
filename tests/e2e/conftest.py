"""What the tests of the page share: a server, a browser with a filmed camera, and pages that must behave."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, Playwright, ViewportSize, sync_playwright

from tests.e2e.chromium import Server, Watched, chromium
from tests.media import camera_film

Scheme = Literal["light", "dark"]
Open = Callable[..., Watched]


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return camera_film(tmp_path_factory.mktemp("film"))


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for a file of tests, with the arguments that its `SERVER` names, or with what it paints by default."""
    running = Server(tmp_path_factory.mktemp("server") / "log", *getattr(request.module, "SERVER", ()))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def browser(playwright: Playwright, film: Path) -> Iterator[Browser]:
    with chromium(playwright, film) as started:
        yield started


@pytest.fixture
def open_page(browser: Browser, server: Server) -> Iterator[Open]:
    """Opens the page in a context of its own; in the end nothing forbidden may have happened in any of them."""
    pages = []

    def open_(
        at: Server = server,
        granted: bool = True,
        where: Browser = browser,
        scheme: Scheme = "dark",
        before: Callable[[Page], object] = lambda page: None,
        ready: str = "#setting-prompt",
        locale: str | None = None,
        viewport: ViewportSize | None = None,
        reduced_motion: Literal["reduce"] | None = None,
    ) -> Watched:
        """`before` is done to the page before it loads; it is there when `ready` can be seen."""
        permissions = ["camera"] if granted else []
        context = where.new_context(
            permissions=permissions,
            color_scheme=scheme,
            locale=locale,
            viewport=viewport or {"width": 1280, "height": 800},
            reduced_motion=reduced_motion,
        )
        page = context.new_page()
        watched = Watched(page, at.url)
        pages.append(watched)
        before(page)
        page.goto(at.url)
        page.wait_for_selector(ready)
        return watched

    yield open_
    for watched in pages:  # a page that stays would go on streaming beside all that follow
        watched.page.context.close()
    assert [offence for watched in pages for offence in watched.offences] == []
