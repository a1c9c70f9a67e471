"""The page in a real Chromium against the real server: what a user sees, and what must never happen.

The camera is a film of a person (`tests/media.py`). Pictures of the page are left in `artifacts/`.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Playwright, expect

from run import ROOT
from tests.e2e.chromium import EXECUTABLE, Server, chromium, difference, until
from tests.e2e.conftest import Open, Scheme

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(EXECUTABLE is None, reason="no Chromium here; on Debian: apt-get install chromium"),
]

ARTIFACTS = ROOT / "artifacts"

# Mean differences of 255. The camera moves a little between two grabs; a style changes the whole picture.
SAME = 14
CLEARLY_OTHER = 25


def test_the_camera_comes_back_painted_and_obeys_the_prompt(open_page: Open) -> None:
    watched = open_page()
    watched.start()
    watched.say("pencil sketch")
    until("the picture is painted", lambda: difference(watched.grab("result"), watched.grab("camera")) > CLEARLY_OTHER)
    sketch = watched.mean("result")
    watched.say("starry night by van gogh")
    until("the picture is another", lambda: difference(watched.mean("result", 2), sketch) > CLEARLY_OTHER)
    until("the numbers are shown", lambda: "fps" in watched.page.inner_text("#fps"))


def test_identity_shows_the_camera(open_page: Open) -> None:
    watched = open_page()
    watched.start()
    assert "Neural style (CPU)" in watched.page.inner_text("#painter")
    watched.page.select_option("#setting-pipeline", "identity")
    watched.until_applied("pipeline")
    assert "Identity" in watched.page.inner_text("#painter")
    until("the result is the camera", lambda: difference(watched.grab("result"), watched.grab("camera")) < SAME)
    assert watched.page.evaluate("document.getElementById('result').videoWidth") == 640


def test_a_refused_setting_is_explained_beside_its_field_and_taken_back(open_page: Open) -> None:
    watched = open_page()
    watched.start()
    watched.page.fill("#setting-seed", "7")
    watched.until_applied("seed")
    watched.page.fill("#setting-seed", "99999999999")
    expect(watched.page.locator("#setting-seed-error")).to_contain_text("4294967295")
    expect(watched.page.locator("#setting-seed")).to_have_attribute("aria-invalid", "true")
    expect(watched.page.locator("#setting-seed")).to_have_value("7")
    watched.page.fill("#setting-seed", "8")
    watched.until_applied("seed")
    expect(watched.page.locator("#setting-seed-error")).to_be_empty()


def test_two_pages_never_mix(open_page: Open) -> None:
    pages = [open_page(), open_page()]
    for watched, prompt in zip(pages, ("pencil sketch", "stained glass"), strict=True):
        watched.start()
        watched.say(prompt)
        watched.wait_frames(20)  # the change glides
    own = [watched.mean("result") for watched in pages]
    assert difference(*own) > CLEARLY_OTHER
    for _ in range(10):
        for mine, others, watched in zip(own, reversed(own), pages, strict=True):
            watched.wait_frames(1)
            picture = watched.grab("result")
            assert difference(picture, mine) < difference(picture, others)


def test_the_source_is_swapped_while_it_runs(open_page: Open) -> None:
    watched = open_page()
    watched.page.select_option("#setting-pipeline", "identity")
    watched.start()
    film = watched.mean("result", 3)
    watched.page.select_option("#source", "test-card")
    until("the result is the test card", lambda: difference(watched.grab("result"), film) > CLEARLY_OTHER)
    until("the result is the test card", lambda: difference(watched.grab("result"), watched.grab("camera")) < SAME)


def test_a_blocked_camera_is_explained_and_the_test_card_helps(open_page: Open) -> None:
    watched = open_page(granted=False)
    watched.page.click("#start")
    expect(watched.page.locator("#trouble")).to_contain_text("The camera is blocked for this page.")
    watched.page.click("#use-card")
    expect(watched.page.locator("#start")).to_be_focused()
    watched.until_live()
    expect(watched.page.locator("#trouble")).to_be_hidden()


def test_a_missing_camera_is_explained(open_page: Open, playwright: Playwright) -> None:
    with chromium(playwright, None) as without_camera:
        watched = open_page(where=without_camera)
        watched.page.click("#start")
        expect(watched.page.locator("#trouble")).to_contain_text("No camera was found.")
        watched.until_state("Stopped")


def test_a_server_that_comes_back_is_found_again_with_the_settings(open_page: Open, tmp_path: Path) -> None:
    with ExitStack() as stack:
        server = Server(tmp_path / "log", "--pipeline", "identity")
        stack.callback(server.stop)
        server.start()
        watched = open_page(server)
        watched.start()
        for end, prompt in ((server.stop, "a fox in the snow"), (server.kill, "an owl in the snow")):
            watched.say(prompt)
            end()
            watched.until_state("Reconnecting")
            expect(watched.page.locator("#countdown")).to_contain_text("Try")
            server.start()
            watched.until_live()
            expect(watched.page.locator("#setting-prompt")).to_have_value(prompt)


KEEP_PEER = """
const Stock = RTCPeerConnection;
globalThis.RTCPeerConnection = class extends Stock {
  constructor(...given) {
    super(...given);
    globalThis.peer = this;
  }
};
globalThis.sentFps = async () => {
  const entries = [...(await peer.getStats()).values()];
  return entries.find(({ type }) => type === "outbound-rtp")?.framesPerSecond ?? 0;
};
"""


def test_who_comes_to_a_full_server_waits_in_line_for_the_place(open_page: Open, tmp_path: Path) -> None:
    with ExitStack() as stack:
        server = Server(tmp_path / "log", "--pipeline", "identity", "--max-sessions", "1")
        stack.callback(server.stop)
        server.start()
        first, second = open_page(server), open_page(server)
        second.page.add_init_script(KEEP_PEER)
        second.page.reload()
        first.start()
        second.page.click("#start")
        expect(second.page.locator("#state")).to_contain_text("In line You are number 1 in line", timeout=10_000)
        second.wait_frames(2)  # of its own camera
        until("a slow camera", lambda: 5 < second.page.evaluate("sentFps()") < 13)
        first.page.click("#start")
        second.until_live()
        until("the whole camera", lambda: second.page.evaluate("sentFps()") > 20)


def test_settings_outlive_a_reload_and_refused_ones_do_not_stop_the_start(open_page: Open) -> None:
    watched = open_page()
    watched.page.evaluate('localStorage.setItem(\'live-diffusion.settings\', \'{"prompt": "fox", "steps": 9}\')')
    watched.page.reload()
    watched.page.wait_for_selector("#setting-prompt")
    watched.start()
    expect(watched.page.locator("#setting-prompt")).to_have_value("fox")
    expect(watched.page.locator("#notice")).to_contain_text("steps")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everyone_can_use_it(open_page: Open, scheme: Scheme) -> None:
    watched = open_page(scheme=scheme)
    ARTIFACTS.mkdir(exist_ok=True)
    assert watched.axe() == []
    watched.start()
    watched.wait_frames(20)
    for details in watched.page.locator("details").all():
        details.evaluate("element => { element.open = true; }")
    watched.page.get_by_role("button", name="Blend with another prompt").click()
    assert watched.axe() == []
    for width, height in ((1280, 800), (360, 780)):
        watched.page.set_viewport_size({"width": width, "height": height})
        assert watched.page.evaluate("document.documentElement.scrollWidth") <= width
        (ARTIFACTS / f"page-{scheme}-{width}.png").write_bytes(watched.page.screenshot())
