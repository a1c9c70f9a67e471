"""The page's tools in a real Chromium: sources, comparison, looks, snapshot and recording, by mouse and key."""

from __future__ import annotations

import io
import json
import struct
import zlib
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Dialog, Page, Playwright, expect

from tests.e2e.chromium import EXECUTABLE, Watched, chromium, difference, until
from tests.e2e.conftest import Open, Scheme

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(EXECUTABLE is None, reason="no Chromium here; on Debian: apt-get install chromium"),
]

FLAGS = ("--auto-select-tab-capture-source-by-title=To be shared",)
SAME = 14
CLEARLY_OTHER = 25


# Sources


def test_a_video_file_is_played_in_a_loop_and_the_camera_comes_back(open_page: Open, tmp_path: Path) -> None:
    watched = open_page()
    watched.page.select_option("#setting-pipeline", "identity")
    watched.start()
    with watched.page.expect_file_chooser() as chooser:
        watched.page.select_option("#source", "video-file")
    chooser.value.set_files(_red_film(tmp_path))
    until("the result is the film", lambda: _mean_colour(watched)[0] > 150 > 90 > _mean_colour(watched)[2])
    watched.wait_frames(60)  # more than the film has
    assert _mean_colour(watched)[0] > 150
    watched.page.select_option("#source", index=0)
    until("the result is the camera", lambda: _mean_colour(watched)[2] > 60)


def test_a_file_that_is_no_video_is_explained_and_the_picture_goes_on(open_page: Open, tmp_path: Path) -> None:
    watched = open_page()
    watched.start()
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    with watched.page.expect_file_chooser() as chooser:
        watched.page.select_option("#source", "video-file")
    chooser.value.set_files(broken)
    expect(watched.page.locator("#trouble")).to_contain_text("could not be played")
    camera = watched.page.locator("#source option").first.get_attribute("value")
    expect(watched.page.locator("#source")).to_have_value(camera or "")  # which is still sent
    watched.wait_frames(3)
    with watched.page.expect_file_chooser():
        watched.page.click("#again")
    expect(watched.page.locator("#start")).to_be_focused()
    watched.page.select_option("#source", index=0)
    expect(watched.page.locator("#trouble")).to_be_hidden()


def test_a_camera_that_refuses_what_is_asked_is_asked_for_less(open_page: Open) -> None:
    refuse = """
      const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
      globalThis.asked = [];
      navigator.mediaDevices.getUserMedia = async (wish) => {
        asked.push(JSON.stringify(wish));
        if (Object.keys(wish.video).length > 0) throw new OverconstrainedError("width", "no");
        return open({ video: true });
      };"""
    watched = open_page(script=refuse)
    watched.start()
    asked = watched.page.evaluate("asked")
    assert "640" in asked[0]
    assert asked[-1] == '{"video":{}}'
    expect(watched.page.locator("#trouble")).to_be_hidden()


def test_a_camera_that_is_plugged_in_appears_in_the_list(open_page: Open) -> None:
    script = """
      const list = navigator.mediaDevices.enumerateDevices.bind(navigator.mediaDevices);
      navigator.mediaDevices.enumerateDevices = async () =>
        globalThis.plugged ? [...(await list()), { kind: "videoinput", deviceId: "new", label: "New one" }] : list();"""
    watched = open_page(script=script)
    assert "New one" not in watched.page.inner_text("#source")
    watched.page.evaluate("plugged = true; navigator.mediaDevices.dispatchEvent(new Event('devicechange'))")
    expect(watched.page.locator("#source")).to_contain_text("New one")


TRACK = "document.getElementById('camera').srcObject.getVideoTracks()[0]"
SHARED = "<title>To be shared</title><body style='background: #dc0000'><h1>Slides</h1>"


def test_another_tab_is_shared_until_it_is_closed(open_page: Open) -> None:
    watched = open_page()
    page = watched.page
    page.select_option("#setting-pipeline", "identity")
    shared = page.context.new_page()
    shared.set_content(SHARED)
    page.bring_to_front()
    page.select_option("#source", "screen")
    watched.start()
    until("the result is the tab", lambda: _mean_colour(watched)[0] > 150 > 60 > _mean_colour(watched)[2])
    assert page.evaluate(f"{TRACK}.getSettings().displaySurface") == "browser"
    shared.close()
    expect(page.locator("#trouble")).to_contain_text("The sharing of the screen was ended.")


def test_a_phone_has_a_front_and_a_back_camera(open_page: Open, playwright: Playwright) -> None:
    """Chromium's fake cameras look nowhere, so what is asked for is read off the question."""
    ask = """
      const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
      globalThis.asked = [];
      navigator.mediaDevices.getUserMedia = (wish) => { asked.push(wish.video.facingMode); return open(wish); };"""
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    offers: list[str] = []
    with chromium(playwright, None, "--use-fake-device-for-media-stream=device-count=2") as two_cameras:
        watched = open_page(where=two_cameras, script=ask, **phone)
        page = watched.page
        page.on("request", lambda request: offers.append(request.url) if request.url.endswith("/offer") else None)
        assert page.locator("#source option").all_inner_texts()[:2] == ["Front camera", "Back camera"]
        page.tap("#start")
        watched.until_live()
        first = page.evaluate(f"{TRACK}.id")
        page.select_option("#source", label="Back camera")
        until("the other one is sent", lambda: page.evaluate(f"{TRACK}.id") != first)
        watched.wait_frames(5)
        assert page.evaluate("asked") == ["user", "environment"]
        assert len(offers) == 1


# How it is shown


def test_the_slider_divides_camera_and_result_by_mouse_and_key_and_is_remembered(open_page: Open) -> None:
    watched = open_page()
    page = watched.page
    watched.start()
    watched.say("pencil sketch")
    watched.wait_frames(20)  # the look glides
    page.keyboard.press("Tab")  # out of the field, where keys are letters
    page.locator("#compare").select_option("slider")
    split = page.locator("#split")
    split.focus()
    page.keyboard.press("Home")
    expect(split).to_have_attribute("aria-valuetext", "0 % camera")
    for _ in range(30):
        page.keyboard.press("ArrowRight")
    expect(split).to_have_attribute("aria-valuetext", "30 % camera")
    box, width = _box(page, "#split"), _box(page, ".tile.camera")["width"]
    assert box["width"] == pytest.approx(width, abs=2)
    page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + box["height"] / 2)
    assert 70 <= int(split.input_value()) <= 80
    shot = np.asarray(Image.open(io.BytesIO(page.locator("#tiles").screenshot())).convert("RGB"), np.float32)
    colour = (shot.max(axis=2) - shot.min(axis=2))[100:-100]  # a pencil has none
    width = shot.shape[1]
    assert colour[:, width // 10 : width // 2].mean() > 20, "the camera is left"
    assert colour[:, -width // 6 : -20].mean() < 8, "the result is right"
    page.reload()
    page.wait_for_selector("#looks")
    expect(page.locator("#compare")).to_have_value("slider")
    assert 70 <= int(page.locator("#split").input_value()) <= 80


def test_result_only_and_mirror_change_what_is_shown_not_what_is_sent(open_page: Open) -> None:
    watched = open_page()
    page = watched.page
    page.select_option("#setting-pipeline", "identity")
    watched.start()
    page.locator("body").press("m")
    expect(page.locator("#mirror")).to_have_attribute("aria-pressed", "true")
    assert "matrix(-1" in page.evaluate("getComputedStyle(document.getElementById('result')).transform")
    until("the pixels are as they were", lambda: difference(watched.grab("result"), watched.grab("camera")) < SAME)
    page.locator("body").press("c")
    page.locator("body").press("c")
    expect(page.locator("#compare")).to_have_value("result")
    expect(page.locator(".tile.camera")).to_be_hidden()


def test_full_screen_shows_the_videos_and_the_screen_stays_awake(open_page: Open) -> None:
    script = """
      globalThis.locks = [];
      const request = navigator.wakeLock.request.bind(navigator.wakeLock);
      navigator.wakeLock.request = async (kind) => {
        const lock = { released: false, release: async () => { lock.released = true; } };
        locks.push(lock);
        return lock;
      };"""
    watched = open_page(script=script)
    watched.start()
    assert watched.page.evaluate("locks.map((lock) => lock.released)") == [False]
    watched.page.click("#full-screen")
    until("it fills the screen", lambda: watched.page.evaluate("document.fullscreenElement?.id") == "tiles")
    watched.page.locator("body").press("f")
    until("it is back", lambda: watched.page.evaluate("document.fullscreenElement") is None)
    watched.page.click("#start")
    assert watched.page.evaluate("locks.every((lock) => lock.released)")


def test_the_result_has_a_window_of_its_own(open_page: Open) -> None:
    watched = open_page()
    page = watched.page
    expect(page.locator("#picture-in-picture")).to_be_disabled()
    watched.start()
    page.click("#picture-in-picture")
    own = "document.pictureInPictureElement?.id ?? ''"
    until("the result has its own window", lambda: page.evaluate(own) == "result")
    watched.wait_frames(5)
    page.locator("body").press("p")
    until("it is back", lambda: page.evaluate(own) == "")


# Prompts


def test_a_style_picked_in_the_gallery_is_painted_and_nothing_else(open_page: Open) -> None:
    watched = open_page()
    page = watched.page
    watched.start()
    page.locator("body").press("l")
    gallery = page.locator("dialog.gallery")
    expect(gallery.locator(".look")).to_have_count(48)
    image = "getComputedStyle(document.querySelector('.thumb')).backgroundImage"
    assert "looks.webp" in page.evaluate(image)
    gallery.get_by_role("button", name="Woven blocks").click()
    expect(gallery).to_be_hidden()
    expect(page.locator("#setting-prompt")).to_have_value("Woven blocks")
    expect(page.locator(".notes")).to_contain_text("100 % Woven blocks (match 1.0)")


def test_a_look_is_kept_handed_on_as_a_file_and_removed(open_page: Open, tmp_path: Path) -> None:
    watched = open_page()
    page = watched.page
    page.fill("#setting-prompt", "fox & <b>owl</b>")
    page.press("#setting-prompt", "Enter")
    page.fill("#setting-seed", "77")
    page.press("#setting-seed", "Enter")
    page.click("#star")
    page.click(".hand-on summary")
    with page.expect_download() as download:
        page.click("#export")
    file = tmp_path / "looks.json"
    download.value.save_as(file)
    (preset,) = json.loads(file.read_text())["presets"]
    assert preset == {"name": "fox & <b>owl</b>", "settings": {"prompt": "fox & <b>owl</b>", "seed": 77}}

    other = open_page().page
    _import(other, file)
    expect(other.locator("#notice")).to_contain_text("1")
    other.click("#looks")
    other.get_by_role("button", name="fox & <b>owl</b>", exact=True).click()
    expect(other.locator("#setting-prompt")).to_have_value("fox & <b>owl</b>")
    expect(other.locator("#setting-seed")).to_have_value("77")
    other.click("#looks")
    other.get_by_role("button", name="Remove fox").click()
    expect(other.locator(".own-look")).to_have_count(0)


def test_a_hostile_file_changes_nothing(open_page: Open, tmp_path: Path) -> None:
    page = open_page().page
    before = page.input_value("#setting-prompt")
    file = tmp_path / "file.json"
    for content in (b"", b"{", b'{"presets": [{"name": "x", "settings": {"evil": 1}}]}', b"\x89PNG"):
        file.write_bytes(content)
        page.evaluate("document.getElementById('notice').textContent = ''")
        _import(page, file)
        expect(page.locator("#notice")).to_contain_text("no looks")
    assert page.input_value("#setting-prompt") == before


def test_a_link_to_a_look_opens_that_look(open_page: Open) -> None:
    watched = open_page(path="#prompt=stained+glass&strength=0.5&seed=9&nonsense=1")
    page = watched.page
    expect(page.locator("#setting-prompt")).to_have_value("stained glass")
    expect(page.locator("#setting-seed")).to_have_value("9")
    expect(page.locator("#notice")).to_contain_text("nonsense")
    page.fill("#setting-prompt", "inferno")
    page.press("#setting-prompt", "Enter")
    page.reload()
    expect(page.locator("#setting-prompt")).to_have_value("inferno")  # a link is followed once
    page.fill("#setting-prompt", "stained glass")
    page.press("#setting-prompt", "Enter")
    page.click(".hand-on summary")
    page.click("#copy-link")
    expect(page.locator("#notice")).to_contain_text("copied")
    assert "#" not in page.url
    link = page.evaluate("navigator.clipboard.readText()")
    assert "#prompt=stained+glass" in link
    assert "strength=0.5" in link
    assert "seed=9" in link


def test_the_dice_change_prompt_and_seed_and_the_lock_holds_the_seed(open_page: Open) -> None:
    page = open_page().page
    seed = page.input_value("#setting-seed")
    page.check("#keep-seed")
    page.click("#dice")
    first = page.input_value("#setting-prompt")
    assert page.input_value("#setting-seed") == seed
    page.uncheck("#keep-seed")
    page.click("#dice")
    assert page.input_value("#setting-seed") != seed
    page.focus("#setting-prompt")
    page.evaluate("document.getElementById('setting-prompt').setSelectionRange(0, 0)")
    page.keyboard.press("ArrowUp")
    expect(page.locator("#setting-prompt")).to_have_value(first)
    page.keyboard.press("ArrowDown")
    assert page.input_value("#setting-prompt") != first
    page.select_option("#earlier", first)
    expect(page.locator("#setting-prompt")).to_have_value(first)


def test_a_prompt_takes_the_place_of_a_blend(open_page: Open) -> None:
    watched = open_page(
        path="#prompts=" + '[{"text":"pencil","weight":1},{"text":"frost","weight":3}]'.replace('"', "%22")
    )
    page = watched.page
    watched.start()
    expect(page.locator(".notes")).to_contain_text("75 % Frost, 25 % pencil")
    page.click("#looks")
    page.get_by_role("button", name="Cubism", exact=True).click()
    expect(page.locator(".notes")).to_contain_text("100 % Cubist slate")
    expect(page.locator(".rows > *")).to_have_count(0)


# Snapshot and recording


def test_a_snapshot_says_how_it_was_painted_and_restores_that_when_it_is_dropped(
    open_page: Open, tmp_path: Path
) -> None:
    watched = open_page()
    page = watched.page
    watched.start()
    watched.say("inferno")
    page.fill("#setting-seed", "41")
    watched.until_applied("seed")
    watched.wait_frames(12)  # the look glides
    page.evaluate("document.getElementById('result').pause()")  # so that it can be compared
    with page.expect_download() as download:
        page.click("#snapshot")
    file = tmp_path / "snapshot.png"
    download.value.save_as(file)
    with Image.open(file) as picture:
        assert picture.size == (512, 512)
        inside = json.loads(picture.info["live-diffusion"])
        small = np.asarray(picture.convert("RGB").resize((48, 48)), np.float32)
    assert inside["settings"]["prompt"] == "inferno"
    assert difference(small, watched.grab("result")) < 4
    assert difference(small, watched.grab("camera")) > CLEARLY_OTHER

    other = open_page().page
    _drop(other, file)
    expect(other.locator("#setting-prompt")).to_have_value("inferno")
    expect(other.locator("#setting-seed")).to_have_value("41")


def test_what_a_strangers_picture_says_is_checked(open_page: Open, tmp_path: Path) -> None:
    page = open_page().page
    text = b'live-diffusion\0\0\0\0\0{"settings": {"seed": 5, "steps": 99, "evil": 1}}'
    file = tmp_path / "strange.png"
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "PNG")
    plain = buffer.getvalue()
    chunk = b"iTXt" + text
    file.write_bytes(
        plain[:33] + struct.pack(">I", len(text)) + chunk + struct.pack(">I", zlib.crc32(chunk)) + plain[33:]
    )
    _drop(page, file)
    expect(page.locator("#setting-seed")).to_have_value("5")
    assert page.evaluate("localStorage.getItem('live-diffusion.settings')") == '{"seed":5}'


DISK = """globalThis.showSaveFilePicker = async ({ suggestedName }) => {
  const root = await navigator.storage.getDirectory();
  globalThis.saved = await root.getFileHandle("recording", { create: true });
  return saved;
};"""
READ = """async () => {
  const data = new Uint8Array(await (await saved.getFile()).arrayBuffer());
  let text = "";
  for (let at = 0; at < data.length; at += 8192) text += String.fromCharCode(...data.subarray(at, at + 8192));
  return text;
}"""


@pytest.mark.parametrize("to_disk", [False, True], ids=["download", "disk"])
def test_a_recording_plays_with_the_painted_picture_and_its_right_length(
    open_page: Open, tmp_path: Path, to_disk: bool
) -> None:
    watched = open_page(script=DISK if to_disk else "delete globalThis.showSaveFilePicker;")
    page = watched.page
    watched.start()
    watched.say("inferno")
    watched.wait_frames(12)
    page.click("#record")
    numbers = page.locator(".recorded")
    until("two seconds are recorded", lambda: numbers.inner_text().startswith("0:02"))
    assert "MB" in numbers.inner_text()
    painted, camera = watched.grab("result"), watched.grab("camera")
    file = tmp_path / "recording"
    if to_disk:
        page.click("#record")
        expect(page.locator("#notice")).to_contain_text("Recorded")
        file.write_bytes(page.evaluate(READ).encode("latin-1"))
    else:
        with page.expect_download() as download:
            page.click("#record")
        download.value.save_as(file)
        assert download.value.suggested_filename.endswith((".mp4", ".webm"))
    with av.open(str(file), "r") as container:
        assert container.duration is not None
        assert 1.5 < container.duration / 1e6 < 4
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert pictures[0].shape == (512, 512, 3)
    last = np.asarray(Image.fromarray(pictures[-1]).resize((48, 48)), np.float32)
    assert difference(last, painted) < difference(last, camera)  # the film moves on between the two


def test_the_end_of_the_session_finishes_the_file(open_page: Open) -> None:
    watched = open_page(script=DISK)
    watched.start()
    watched.page.click("#record")
    until("it records", lambda: "0:02" in watched.page.inner_text(".recorded"))
    watched.page.click("#start")
    expect(watched.page.locator("#notice")).to_contain_text("Recorded")
    assert len(watched.page.evaluate(READ)) > 10_000


def test_closing_the_tab_asks_and_finishes_the_file(open_page: Open) -> None:
    watched = open_page(script=DISK)
    watched.start()
    watched.page.click("#record")
    until("it records", lambda: "0:02" in watched.page.inner_text(".recorded"))
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    watched.page.on("dialog", stay)
    watched.page.close(run_before_unload=True)
    expect(watched.page.locator("#notice")).to_contain_text("Recorded")
    assert asked == ["beforeunload"]
    assert len(watched.page.evaluate(READ)) > 10_000


# For everyone


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_gallery_link_panel_and_tools_break_no_rule_and_fit_a_phone(open_page: Open, scheme: Scheme) -> None:
    watched = open_page(scheme=scheme, viewport={"width": 320, "height": 700})
    page = watched.page
    page.locator(".hand-on").evaluate("element => { element.open = true; }")
    page.select_option("#compare", "slider")
    watched.start()
    page.click("#mirror")
    page.click("#star")
    for button in (None, "#looks", "#share"):
        if button:
            page.click(button)
            expect(page.locator("dialog[open]")).to_be_visible()
        assert watched.axe() == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        page.keyboard.press("Escape")


# Helpers


def _red_film(folder: Path) -> Path:
    path = folder / "red.webm"
    with av.open(str(path), "w", format="webm") as container:
        stream = container.add_stream("libvpx", rate=30)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        pixels = np.zeros((240, 320, 3), np.uint8)
        pixels[..., 0] = 220
        for _ in range(30):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode(None))
    return path


def _mean_colour(watched: Watched) -> list[float]:
    colour: list[float] = watched.grab("result").mean((0, 1)).tolist()
    return colour


def _box(page: Page, selector: str) -> dict[str, float]:
    box = page.locator(selector).bounding_box()
    assert box
    return dict(box)  # type: ignore[arg-type]


def _import(page: Page, file: Path) -> None:
    page.locator(".hand-on").evaluate("element => { element.open = true; }")
    with page.expect_file_chooser() as chooser:
        page.click("#import")
    chooser.value.set_files(file)


def _drop(page: Page, file: Path) -> None:
    page.evaluate(
        """([name, content]) => {
          const bytes = Uint8Array.from(content, (letter) => letter.charCodeAt(0));
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([bytes], name));
          document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
        }""",
        [file.name, file.read_bytes().decode("latin-1")],
    )
