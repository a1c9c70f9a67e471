"""What the tests of the page share: a server, a browser with a filmed camera, and pages that must behave."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, Playwright, ViewportSize, sync_playwright

from tests.e2e.chromium import Server, Watched, chromium
from tests.media import camera_film

Scheme = Literal["light", "dark"]
NewPage = Callable[..., Page]
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


@pytest.fixture(scope="module")
def browser(request: pytest.FixtureRequest, playwright: Playwright, film: Path) -> Iterator[Browser]:
    """One for a file of tests, with the `FLAGS` that it names; what is of one test only is a page's context."""
    with chromium(playwright, film, *getattr(request.module, "FLAGS", ())) as started:
        yield started


@pytest.fixture
def new_page(browser: Browser) -> Iterator[NewPage]:
    """Opens an empty page in a context of its own, with the options that are given.

    It is closed in the end, or it would go on streaming beside all that follow.
    """
    with ExitStack() as stack:

        def new(where: Browser = browser, **options: object) -> Page:
            context = where.new_context(**options)  # type: ignore[arg-type]
            stack.callback(context.close)
            return context.new_page()

        yield new


@pytest.fixture
def open_page(new_page: NewPage, browser: Browser, server: Server) -> Iterator[Open]:
    """Opens the page; in the end nothing forbidden may have happened in any of them."""
    pages = []

    def open_(
        at: Server = server,
        granted: bool = True,
        where: Browser = browser,
        scheme: Scheme = "dark",
        before: Callable[[Page], object] = lambda page: None,
        script: str = "",
        path: str = "",
        ready: str = "#looks",
        viewport: ViewportSize | None = None,
        **options: object,
    ) -> Watched:
        """`before` is done to the page, and `script` runs in it, before it loads; it is there when `ready` can be
        seen. More `options` are those of a context."""
        page = new_page(
            where,
            permissions=["camera", "clipboard-read", "clipboard-write"] if granted else [],
            color_scheme=scheme,
            viewport=viewport or {"width": 1280, "height": 800},
            **options,
        )
        watched = Watched(page, at.url)
        pages.append(watched)
        if script:
            page.add_init_script(script)
        before(page)
        page.goto(f"{at.url}/{path}")
        page.wait_for_selector(ready)
        return watched

    yield open_
    assert [offence for watched in pages for offence in watched.offences] == []
