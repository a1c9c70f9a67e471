"""The viewer's page in a real Chromium: what a second screen or OBS shows, and that it comes back by itself."""

from __future__ import annotations

import io
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, Request, Route, expect

from tests.e2e.chromium import EXECUTABLE, Server, Watched, until
from tests.e2e.conftest import NewPage, Open

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(EXECUTABLE is None, reason="no Chromium here; on Debian: apt-get install chromium"),
]

SERVER = ("--pipeline", "identity")
FRAMES = "document.getElementById('video').getVideoPlaybackQuality().totalVideoFrames"
CORNER = """() => {
  const video = document.getElementById("video");
  const canvas = new OffscreenCanvas(8, 8);
  const context = canvas.getContext("2d");
  context.drawImage(video, 0, 0, 8, 8);
  return Array.from(context.getImageData(4, 4, 1, 1).data);
}"""


def shared_link(watched: Watched) -> str:
    """What the share panel says, and copies."""
    page = watched.page
    page.click("#share")
    page.click("#share-copy")
    expect(page.locator("#share-copy")).to_have_text("Copied")
    link = page.input_value("#share-link")
    assert page.evaluate("navigator.clipboard.readText()") == link
    return link


def until_live(page: Page) -> None:
    until("the viewer is live", lambda: page.get_attribute("html", "data-state") == "live")
    seen = page.evaluate(FRAMES)
    until("its video goes on", lambda: page.evaluate(FRAMES) > seen)


def test_the_link_shows_the_video_and_nothing_else(new_page: NewPage, open_page: Open, server: Server) -> None:
    watched = open_page()
    watched.start()
    link = shared_link(watched)
    expect(watched.page.locator("dialog.share")).to_contain_text("on this computer only")  # no code for a phone
    viewer = Watched(new_page(viewport={"width": 800, "height": 300}), server.url)
    page = viewer.page
    page.goto(f"{link}?fit=cover&stats=1")
    until_live(page)
    assert page.inner_text("#message") == ""
    expect(page.locator("#stats")).to_contain_text(" kbit/s")
    expect(page.locator("#stats")).to_contain_text("480")
    assert page.evaluate("getComputedStyle(document.getElementById('video')).objectFit") == "cover"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(0, 0, 0)"
    box = page.locator("#video").bounding_box()
    assert box == {"x": 0, "y": 0, "width": 800, "height": 300}
    assert sum(page.evaluate(CORNER)[:3]) > 60
    assert viewer.axe() == []
    assert viewer.offences == []


def test_where_others_can_open_the_link_it_is_a_code_too(new_page: NewPage, server: Server) -> None:
    page = new_page()
    name = f"http://painter.example:{server.url.rpartition(':')[2]}"

    def serve(route: Route, request: Request) -> None:
        headers = request.headers | {"origin": server.url}
        route.fulfill(response=route.fetch(url=request.url.replace(name, server.url), headers=headers))

    page.route(f"{name}/**", serve)
    page.goto(name)
    page.wait_for_selector("#looks")
    page.click("#share")
    expect(page.locator("#notice")).to_contain_text("Press Start first")
    page.click("#start-card")  # no camera without https
    until("the page is live", lambda: page.inner_text("#state-word") == "Live")
    page.click("#share")
    path = page.locator(".code path").get_attribute("d")
    assert path is not None
    assert path.count("h1v1h-1z") > 200


def test_obs_gets_a_clear_ground_and_no_words(new_page: NewPage, server: Server) -> None:
    page = new_page()
    page.add_init_script("globalThis.obsstudio = {};")
    page.goto(f"{server.url}/view/nobody-here")
    until("it waits", lambda: page.get_attribute("html", "data-state") == "waiting")
    assert page.inner_text("#message") == ""
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgba(0, 0, 0, 0)"
    shot = page.screenshot(omit_background=True)
    assert np.asarray(Image.open(io.BytesIO(shot)).convert("RGBA"))[..., 3].max() == 0


def test_a_viewer_waits_for_the_first_picture_and_comes_back_after_each_end(
    new_page: NewPage, open_page: Open, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        server = Server(tmp_path / "log", "--pipeline", "identity")
        stack.callback(server.stop)
        server.start()
        watched = open_page(server)
        watched.start()
        link = shared_link(watched)
        watched.page.keyboard.press("Escape")
        viewer = new_page()
        viewer.goto(link)
        until_live(viewer)
        watched.page.click("#start")  # stop
        until("it waits", lambda: viewer.get_attribute("html", "data-state") == "waiting")
        expect(viewer.locator("#message")).to_have_text("Waiting for the picture…")
        watched.start()
        until_live(viewer)
        expect(viewer.locator("#message")).to_be_hidden()
        server.stop()
        until("it waits", lambda: viewer.get_attribute("html", "data-state") == "waiting")
        server.start()
        watched.page.evaluate("dispatchEvent(new Event('online'))")  # no need to wait for the next try
        watched.until_live()
        viewer.goto(shared_link(watched))  # without a token of its own the server has other view ids after a restart
        until_live(viewer)


def test_the_token_of_the_link_is_sent_and_an_old_one_is_explained(new_page: NewPage, server: Server) -> None:
    page = new_page()
    sent: list[str | None] = []

    def refuse(route: Route, request: Request) -> None:
        sent.append(request.headers.get("authorization"))
        route.fulfill(status=401, json={"code": "unauthorized"})

    page.route("**/whep/*", refuse)
    page.goto(f"{server.url}/view/some-one#token=a.b-c_d")
    expect(page.locator("#message")).to_contain_text("not valid any more")
    assert sent[0] == "Bearer a.b-c_d"
    with page.expect_request("**/whep/*", timeout=10_000):
        pass  # it tries again


def test_with_an_access_token_the_link_carries_one_of_its_own(open_page: Open) -> None:
    watched = open_page(script="sessionStorage.setItem('live-diffusion.token', 'the-owners');")
    page = watched.page
    asked: list[str] = []

    def answer(route: Route, request: Request) -> None:
        asked.append(request.method)
        route.fulfill(json={"view_token": "for+you", "expires_in_s": 3600, "url": "/view/x#token=for%2Byou"})

    page.route("**/api/sessions/*/view-token", answer)
    watched.start()
    link = shared_link(watched)
    assert link.endswith("#token=for%2Byou")
    assert "the-owners" not in link
    assert asked == ["POST"]
    expect(page.locator("dialog.share")).to_contain_text("60 min")
