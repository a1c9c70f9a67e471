"""The diffusion pipeline from camera to screen: its tiny model behind the real server, seen in a real Chromium.

The camera stands still, so that whatever changes in the result was painted so. Random weights make no pretty picture,
but one that depends on camera, prompt and steps.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from run import ROOT
from tests.e2e.chromium import EXECUTABLE, Grab, Server, Watched, difference, until
from tests.e2e.conftest import Open
from tests.media import camera_film

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(EXECUTABLE is None, reason="no Chromium here; on Debian: apt-get install chromium"),
]

ARTIFACTS = ROOT / "artifacts"
SIDE = 256  # pixels of the result: what a CPU can paint live

ONE, OTHER = "z" * 60, "Q" * 60  # which the tiny model paints most unlike each other

STRONG = {"denoising_strength": 1.0, "cfg_type": "full", "guidance": 10.0}  # a prompt shows as much as it can

# Mean differences of 255.
PAINTED = 12
LONGEST_GAP = 1500  # milliseconds without a new picture on the page; a busy machine has some hundreds

RECORD_GAPS = """() => {
  const video = document.getElementById("result");
  let last = performance.now();
  window.longestGap = 0;
  const note = (now) => {
    window.longestGap = Math.max(window.longestGap, now - last);
    last = now;
    video.requestVideoFrameCallback(note);
  };
  video.requestVideoFrameCallback(note);
}"""


@pytest.fixture(scope="module")
def server(tiny_sd: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIVE_DIFFUSION_MODEL", str(tiny_sd))
        log = tmp_path_factory.mktemp("server") / "log"
        running = Server(log, "--pipeline", "diffusion", "--width", str(SIDE), "--height", str(SIDE))
        running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return camera_film(tmp_path_factory.mktemp("film"), still=True)


def test_the_camera_comes_back_painted_and_obeys_prompt_and_steps(open_page: Open) -> None:
    watched = open_page(script=f"localStorage.setItem('live-diffusion.settings', '{json.dumps(STRONG)}')")
    page = watched.page
    watched.start()
    assert page.inner_text("#painter") == "Diffusion tiny-sd0 (CPU)"
    assert page.evaluate("document.getElementById('result').videoWidth") == SIDE
    until("the picture is painted", lambda: difference(watched.grab("result"), watched.grab("camera")) > PAINTED)

    one, same, other, again = (prompted(watched, prompt) for prompt in (ONE, ONE, OTHER, ONE))
    noise = max(difference(one, same), difference(same, again))
    assert difference(same, other) > 3 * noise

    page.evaluate(RECORD_GAPS)
    page.locator("details:has(#setting-steps)").evaluate("element => { element.open = true; }")
    page.fill("#setting-steps", "2")
    watched.until_applied("steps")
    watched.wait_frames(40)
    assert page.evaluate("window.longestGap") < LONGEST_GAP
    assert difference(watched.grab("result"), watched.grab("camera")) > PAINTED
    assert page.inner_text("#state-word") == "Live"
    for trouble in ("#trouble", "#notice"):
        expect(page.locator(trouble)).to_be_hidden()
    ARTIFACTS.mkdir(exist_ok=True)
    (ARTIFACTS / "diffusion.png").write_bytes(page.screenshot())


def prompted(watched: Watched, prompt: str) -> Grab:
    """What `prompt` paints, once the change has glided there and the codec has followed."""
    watched.page.fill("#setting-prompt", prompt)
    watched.page.press("#setting-prompt", "Enter")
    watched.until_applied("prompt")
    watched.wait_frames(20)
    return watched.mean("result", 4)
