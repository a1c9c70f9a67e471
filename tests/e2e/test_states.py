"""Every state of the page and every error text, in a real Chromium: what is said, what can be done, and that all can.

Where a real server cannot be brought into a state at will, the test speaks in its place over `/ws` (`Talk`); the page
and all else come from a real server. Pictures of the states are left in `artifacts/`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Playwright, Route, expect

from run import ROOT
from tests.e2e.chromium import EXECUTABLE, NO_WEBRTC, Server, Talk, Watched, chromium, guarded, until
from tests.e2e.conftest import Open

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(EXECUTABLE is None, reason="no Chromium here; on Debian: apt-get install chromium"),
]

SERVER = ("--pipeline", "identity")
ARTIFACTS = ROOT / "artifacts"
BYTES = {"stage": "download", "done": 1.2e9, "total": 2.4e9, "unit": "bytes", "eta_s": 40.0}


def talking(page: Page) -> Talk:
    page.add_init_script(NO_WEBRTC)
    return Talk(page)


def open_talking(open_page: Open, **options: object) -> tuple[Watched, Talk]:
    talks: list[Talk] = []
    watched = open_page(before=lambda page: talks.append(talking(page)), **options)
    watched.start()
    return watched, talks[0]


def accessible(watched: Watched, name: str) -> None:
    """Nothing breaks a rule or is cut off, in narrow and wide windows and both themes; pictures are left."""
    ARTIFACTS.mkdir(exist_ok=True)
    for scheme, widths in (("light", (360, 1280)), ("dark", (768, 1280))):
        watched.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        for width in widths:
            watched.page.set_viewport_size({"width": width, "height": 800})
            assert watched.page.evaluate("document.documentElement.scrollWidth") <= width
            (ARTIFACTS / f"{name}-{scheme}-{width}.png").write_bytes(watched.page.screenshot())
        assert watched.axe() == []


ALL_WELL = {"reason": None, "message": "", "place": None, "wait_s": None, "progress": None, "retry_in_s": None}
STATES: tuple[tuple[str, dict[str, Any], list[str]], ...] = (
    ("queued", {"state": "queued", "place": 2, "wait_s": 40}, ["In line", "number 2 in line", "About 40 s"]),
    ("loading", {"state": "loading", "progress": BYTES}, ["Loading", "Download: 1.2 of 2.4 GB, about 40 s left"]),
    ("degraded", {"state": "degraded", "message": "No pipeline could be loaded."}, ["Limited", "No pipeline"]),
    ("degraded", {"state": "passthrough"}, ["Unpainted", "unpainted for now"]),
    ("degraded", {"state": "no_input"}, ["No picture", "No camera picture reaches the server"]),
    ("draining", {"state": "draining", "retry_in_s": 20}, ["Restarting", "reconnect", "within 20 s"]),
    ("live", {"state": "running"}, ["Live"]),
)


def test_every_state_of_the_server(open_page: Open) -> None:
    watched, talk = open_talking(open_page)
    for name, changes, said in STATES:
        talk.is_now(**ALL_WELL | changes)
        expect(watched.page.locator("#stage")).to_have_attribute("data-state", name)
        for text in said:
            expect(watched.page.locator("#state")).to_contain_text(text)
        accessible(watched, changes["state"])


COUNT_OPENED = """
  globalThis.opened = 0;
  const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = (wish) => { opened += 1; return open(wish); };
"""


def test_what_this_side_can_mend_takes_one_press(open_page: Open) -> None:
    watched, talk = open_talking(open_page, script=COUNT_OPENED)
    page, remedy = watched.page, watched.page.locator("#remedy-do")
    expect(remedy).to_be_hidden()
    talk.is_now(state="no_input", reason="no_input", message="")
    expect(remedy).to_have_text("Open the source again")
    remedy.click()
    until("the camera is opened again", lambda: page.evaluate("opened") == 2)
    talk.is_now(state="passthrough", reason="apply_failed", message="Nothing can be painted with these settings.")
    expect(remedy).to_have_text("Back to the server's defaults")
    accessible(watched, "refused")
    remedy.click()
    until("the defaults are sent", lambda: any(m["data"].get("steps") == 1 for m in talk.heard))
    talk.is_now(state="degraded", reason="model_load_failed", message="No pipeline could be loaded.")
    expect(remedy).to_be_hidden()
    talk.is_now(state="running", reason=None, message="")
    talk.say("stats", stages_ms={}, fps_in=30, fps_out=2, dropped={})
    expect(page.locator("#state")).to_contain_text("paints only 2 of 30 pictures", timeout=10_000)
    expect(remedy).to_have_text("Paint in one step")
    remedy.focus()
    page.keyboard.press("Enter")
    until("it is sent", lambda: talk.heard[-1]["data"] == {"steps": 1})
    watched.until_state("Live")
    expect(page.locator("#said")).to_be_focused()
    page.keyboard.press("Space")  # once too often
    watched.until_state("Live")


def test_a_camera_that_is_slow_is_asked_for_less(open_page: Open) -> None:
    slow = """
      const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
      navigator.mediaDevices.getUserMedia = async (wish) => {
        const stream = await open(wish);
        await stream.getVideoTracks()[0].applyConstraints({ frameRate: { max: 5 } });
        return stream;
      };"""
    watched = open_page(script=slow)
    watched.start()
    expect(watched.page.locator("#state")).to_contain_text("The camera gives only", timeout=20_000)
    assert watched.axe() == []
    remedy = watched.page.locator("#remedy-do")
    expect(remedy).to_contain_text("320")
    remedy.click()
    width = "document.getElementById('result').videoWidth"
    until("the camera sends less", lambda: watched.page.evaluate(width) == 320)
    watched.until_state("Live")


def test_before_start_and_while_the_browser_asks(open_page: Open) -> None:
    never = "navigator.mediaDevices.getUserMedia = () => new Promise(() => {})"
    watched = open_page(script=never)
    expect(watched.page.locator("#state")).to_contain_text("Ready Your picture goes to this server only")
    accessible(watched, "idle")
    watched.page.click("#start")
    expect(watched.page.locator("#state")).to_contain_text("Choose Allow")
    accessible(watched, "asking")
    watched.page.click("#start")
    watched.until_state("Ready")


def test_a_connection_that_takes_long_says_so(open_page: Open) -> None:
    held: list[Route] = []
    watched = open_page(before=lambda page: page.route("**/offer", lambda route: held.append(route)))
    watched.page.click("#start")
    watched.until_state("Connecting")
    expect(watched.page.locator("#long")).to_contain_text("Still trying:", timeout=10_000)
    assert watched.axe() == []
    for route in held:  # one that is never answered would stay behind as a task
        route.abort()


SOURCES_FAIL = """
  const fail = async () => { throw new DOMException("x", globalThis.refusal); };
  navigator.mediaDevices.getUserMedia = navigator.mediaDevices.getDisplayMedia = fail;
  HTMLInputElement.prototype.click = function () { this.dispatchEvent(new Event("cancel")); };
  HTMLCanvasElement.prototype.captureStream = () => { throw new TypeError("no canvas"); };
"""


def test_each_way_that_a_source_fails_is_explained(open_page: Open) -> None:
    watched = open_page(script=SOURCES_FAIL)
    page, trouble = watched.page, watched.page.locator("#trouble")
    camera = page.input_value("#source")
    for source, error, text, fix in (
        (camera, "NotAllowedError", "The camera is blocked for this page.", "choose Allow"),
        (camera, "SecurityError", "This browser does not let pages use the camera.", "browser's settings"),
        (camera, "NotFoundError", "No camera was found.", "Plug one in"),
        (camera, "AbortError", "The camera stopped while it was being opened.", "Unplug it"),
        (camera, "OverconstrainedError", "This camera is not there any more", "another camera"),
        (camera, "UnknownError", "The camera could not be opened.", "another camera"),
        (camera, "NotReadableError", "Another program is using the camera.", "Close the call"),
        ("screen", "NotAllowedError", "The screen was not shared.", "choose a screen or a window"),
        ("screen", "NotReadableError", "The screen could not be captured.", "Allow screen recording"),
        ("video-file", "", "No video file was chosen.", "choose one"),
        ("test-card", "", "Something in this page went wrong: TypeError: no canvas", "Reload the page"),
    ):
        page.evaluate("name => { globalThis.refusal = name; }", error)
        page.select_option("#source", source)
        page.click("#start")
        expect(trouble).to_contain_text(text)
        expect(trouble).to_contain_text(fix)
        expect(page.locator("#trouble-message")).to_be_focused()
        watched.until_state("Stopped")
        if error == "NotReadableError" and source == camera:
            accessible(watched, "error")


def test_a_camera_that_is_taken_away(open_page: Open) -> None:
    watched, _ = open_talking(open_page)
    watched.page.evaluate(
        "document.getElementById('camera').srcObject.getVideoTracks()[0].dispatchEvent(new Event('ended'))"
    )
    expect(watched.page.locator("#trouble")).to_contain_text("The camera was unplugged or taken away.")


def test_a_screen_that_is_shared_no_more(open_page: Open) -> None:
    screen = """navigator.mediaDevices.getDisplayMedia = async () => {
      const stream = await navigator.mediaDevices.getUserMedia({ video: true });
      stream.getVideoTracks()[0].getSettings = () => ({ displaySurface: "window" });
      return stream;
    }"""
    watched = open_page(script=screen, before=talking)
    watched.page.select_option("#source", "screen")
    watched.start()
    watched.page.evaluate(
        "document.getElementById('camera').srcObject.getVideoTracks()[0].dispatchEvent(new Event('ended'))"
    )
    expect(watched.page.locator("#trouble")).to_contain_text("The sharing of the screen was ended.")
    watched.page.click("#again")
    watched.until_live()


def test_an_insecure_page_is_told_the_address_that_works(open_page: Open, server: Server) -> None:
    watched = open_page()
    port = server.url.rpartition(":")[2]
    watched.origin = f"http://painter.example:{port}"

    def serve(route: Route) -> None:
        route.fulfill(response=route.fetch(url=route.request.url.replace(watched.origin, server.url)))

    watched.page.route(f"{watched.origin}/**", serve)
    watched.page.goto(watched.origin)
    watched.page.wait_for_selector("#setting-prompt")
    watched.page.click("#start")
    trouble = watched.page.locator("#trouble")
    expect(trouble).to_contain_text(f"secure pages only, and {watched.origin} is not one")
    expect(trouble).to_contain_text(f"http://localhost:{port}")
    expect(trouble).to_contain_text("https")
    watched.page.check("#with-prompt")
    watched.page.click("#copy")  # there is no clipboard here
    details = json.loads(watched.page.input_value("#details"))
    assert details["problem"]["code"] == "camera/insecure_context"
    assert details["prompt"] == watched.page.input_value("#setting-prompt")


def test_a_full_server_is_waited_for(open_page: Open) -> None:
    full = {"code": "capacity", "detail": "All places are taken.", "fix": "Try again.", "retryable": True}
    refusals: list[Route] = []

    def refuse_once(route: Route) -> None:
        if refusals:
            return route.continue_()
        refusals.append(route)
        return route.fulfill(status=503, headers={"Retry-After": "2"}, body=json.dumps(full))

    watched = open_page(before=lambda page: page.route("**/offer", refuse_once))
    watched.page.click("#start")
    expect(watched.page.locator("#state")).to_contain_text("Waiting All places are taken.")
    expect(watched.page.locator("#countdown")).to_contain_text("Try 2 in")
    accessible(watched, "waiting")
    watched.until_live()


def test_a_server_that_was_never_there(open_page: Open, server: Server) -> None:
    watched = open_page()
    watched.page.route("**/api/ice", lambda route: route.abort())
    watched.page.click("#start")
    watched.until_state("Waiting")
    for _ in range(2):
        watched.page.click("#retry")
    expect(watched.page.locator("#trouble")).to_contain_text(f"The server at {server.url} does not answer.")


def test_no_way_for_pictures_at_all(open_page: Open) -> None:
    watched = open_page(
        script=NO_WEBRTC, before=lambda page: page.route_web_socket("**/ws?*", lambda socket: socket.close())
    )
    page, trouble = watched.page, watched.page.locator("#trouble")
    page.click("#start")
    expect(trouble).to_contain_text("Neither the video link nor the web connection", timeout=20_000)
    watched.until_state("Stopped")
    page.evaluate("delete globalThis.WebSocket")
    page.click("#start")
    expect(trouble).to_contain_text("This browser can neither send video nor open a web connection.")


def test_blocked_udp_gives_way_to_the_web_connection(open_page: Open, playwright: Playwright, film: Path) -> None:
    with chromium(playwright, film, "--force-webrtc-ip-handling-policy=disable_non_proxied_udp") as blocked:
        watched = open_page(where=blocked)
        assert not watched.page.locator("#badge").is_visible()
        watched.page.click("#start")
        watched.until_live()
        expect(watched.page.locator("#badge")).to_have_text("Over WebSocket")
        watched.say("a fox over the web")
        watched.wait_frames(10)
        until("its latency is shown", lambda: "ms" in watched.page.inner_text("#latency"))
        accessible(watched, "fallback")
        watched.page.click("#start")
        watched.page.click("#start")
        watched.until_state("Connecting")
        expect(watched.page.locator("#badge")).to_be_hidden()


def test_a_page_older_than_the_server(open_page: Open) -> None:
    watched, talk = open_talking(open_page)
    talk.is_now(protocol=2)
    expect(watched.page.locator("#trouble")).to_contain_text("This page is older than the server. Reload the page.")


def test_a_session_that_another_page_took_over(open_page: Open) -> None:
    watched, talk = open_talking(open_page)
    talk.is_now(state="closed", reason="session_ended", message="The session has ended.")
    expect(watched.page.locator("#trouble")).to_contain_text("The session has ended.")


def models(route: Route) -> None:
    notice = "For research and private use; see the licence."
    rows = [
        {"key": "sd-turbo", "title": "SD-Turbo", "licence": "Stability", "notice": notice, "loaded": True},
        {"key": "other", "title": "The other", "licence": "Stability", "notice": notice, "loaded": False},
    ]
    route.fulfill(json={"models": rows})


def test_a_model_is_chosen_behind_its_licence_and_its_loading_is_followed(open_page: Open) -> None:
    talks: list[Talk] = []

    def prepare(page: Page) -> None:
        page.route("**/api/models", models)
        talks.append(talking(page))

    watched = open_page(before=prepare)
    page, talk = watched.page, talks[0]
    page.click("#models")
    expect(page.locator("dialog[open]")).to_contain_text("Press Start first")
    expect(page.locator("dialog[open] [data-model=other]")).to_be_disabled()
    page.keyboard.press("Escape")
    expect(page.locator("#models")).to_be_focused()
    watched.start()
    expect(page.locator("#models")).to_have_text("Model: sd-turbo")
    page.click("#models")
    expect(page.locator("dialog[open]")).to_contain_text("For research and private use")
    assert watched.axe() == []
    page.get_by_role("button", name="Accept the licence and use it: The other").click()
    until("it is asked for", lambda: {"type": "load_model", "data": {"model": "other"}} in talk.heard)
    talk.is_now(message="Loading the other. The old model goes on painting.", progress=BYTES)
    expect(page.locator("#state")).to_contain_text("The old model goes on painting.")
    expect(page.locator("#progress")).to_contain_text("1.2 of 2.4 GB")
    assert page.locator("#progress-bar").evaluate("bar => bar.position") == 0.5
    accessible(watched, "switching")
    talk.is_now(message="", progress=None)
    what = {
        "code": "model_load_failed",
        "message": "The other could not be loaded: no such file.",
        "fix": "See the log.",
    }
    talk.say("error", **what, fields=[], retryable=True)
    expect(page.locator("#trouble")).to_contain_text("The other could not be loaded: no such file. See the log.")
    expect(page.locator("#progress")).to_be_hidden()
    assert watched.axe() == []


def test_a_server_with_a_token_lets_in_who_knows_it(open_page: Open) -> None:
    watched = open_page(before=guarded, ready="#token")
    page = watched.page
    watched.until_state("Locked")
    expect(page.locator("#token")).to_be_focused()
    accessible(watched, "signin")
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    expect(page.locator("#token-error")).to_have_text("The server did not take this token.")
    page.keyboard.type("open sesame")
    page.keyboard.press("Enter")
    page.wait_for_selector("#setting-prompt")
    watched.until_state("Ready")
    watched.start()
    page.reload()  # of the same tab, which still knows it
    watched.start()
    page.evaluate("location.hash = 'token=old&prompt=owl'")  # a link with one that is no longer right
    watched.until_state("Locked")
    assert page.url.endswith("/#prompt=owl")


def test_a_setting_stands_only_where_diffusion_does_something_else(open_page: Open) -> None:
    watched, talk = open_talking(open_page)
    slider = watched.page.locator("#setting-denoising_strength")
    expect(slider).to_have_attribute("max", "49")
    expect(slider).to_have_attribute("min", "1")  # two steps need room for two
    expect(slider).to_have_value("25")
    slider.press("ArrowRight")
    until("it is sent", lambda: any(m["data"] == {"denoising_strength": 0.531} for m in talk.heard))
    expect(slider).to_have_attribute("aria-valuetext", "0.53, stop 26 of 49")
    talk.is_now(settings=talk.status["settings"] | {"pipeline": "effects"})
    expect(slider).to_have_attribute("max", "1")


def test_a_new_connection_answers_what_was_sent_over_the_one_before(open_page: Open) -> None:
    watched, talk = open_talking(open_page)
    watched.page.fill("#setting-prompt", "an owl")
    watched.page.press("#setting-prompt", "Enter")
    mark = watched.page.locator(".field:has(#setting-prompt) .mark")
    expect(mark).to_have_text("sending…")
    talk.status |= {"settings": talk.status["settings"] | {"prompt": "an owl"}}
    talk.say("status", **talk.status | {"state": "closed", "reason": "draining", "retry_in_s": 0.1})
    expect(mark).to_be_empty()
    watched.until_live()


def test_in_one_column_the_prompt_comes_before_the_numbers(open_page: Open) -> None:
    page = open_page(viewport={"width": 899, "height": 800}).page
    above = """([first, second]) => document.querySelector(first).getBoundingClientRect().bottom
        <= document.querySelector(second).getBoundingClientRect().top"""
    assert page.evaluate(above, ["#setting-prompt", "#figures"])
    assert page.evaluate(above, ["#figures", "#setting-pipeline"])
    expect(page.locator("#setting-negative_prompt")).to_be_hidden()
    expect(page.locator("#start")).to_be_in_viewport()
    page.set_viewport_size({"width": 900, "height": 800})
    expect(page.locator("#stage #figures")).to_be_visible()
    page.goto(page.url + "#negative=blurry")
    expect(page.locator("#setting-negative_prompt")).to_be_visible()


def test_the_page_speaks_german_all_of_it(open_page: Open) -> None:
    watched, talk = open_talking(open_page, locale="de-AT")
    page = watched.page
    assert page.get_attribute("html", "lang") == "de"
    expect(page.locator("#start")).to_have_text("Stopp")
    talk.is_now(state="queued", place=3, wait_s=200)
    expect(page.locator("#state")).to_contain_text("Du bist Nummer 3 in der Warteschlange")
    talk.say("error", code="gpu_oom", message="12 of 11 GB are needed.", fix="", fields=[], retryable=True)
    expect(page.locator("#trouble")).to_contain_text("nicht genug Speicher für dieses Bild. 12 of 11 GB are needed.")
    schema = page.request.get(f"{watched.origin}/api/settings/schema").json()
    for name, setting in schema["properties"].items():
        hint = page.locator(f"#setting-{name}-hint").text_content()
        assert hint, name
        assert hint != setting["description"], name
    assert watched.axe() == []
    page.get_by_role("button", name="Optionen").click()
    page.select_option("#language", "en")
    expect(page.locator("dialog[open] h2")).to_have_text("Preferences")
    page.keyboard.press("Escape")
    expect(page.locator("#start")).to_have_text("Stop")
    expect(page.locator("label[for=setting-steps]")).to_have_text("Steps")
    expect(page.locator("#setting-prompt")).to_have_value("a fox")
    page.reload()
    expect(page.locator("#start")).to_have_text("Start")


def test_all_of_it_can_be_done_with_the_keyboard(open_page: Open) -> None:
    watched = open_page()
    page = watched.page
    seen: list[str] = []
    for _ in range(60):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            """() => {
              const element = document.activeElement;
              const box = element.getBoundingClientRect();
              const style = getComputedStyle(element);
              return { id: element.id || element.textContent, ring: parseFloat(style.outlineWidth) >= 2,
                       inside: box.bottom > 0 && box.top < innerHeight, page: element === document.body };
            }"""
        )
        if focused["page"] or focused["id"] in seen:
            break
        assert focused["ring"], f"no ring around {focused['id']}"
        assert focused["inside"], f"{focused['id']} cannot be seen"
        seen.append(focused["id"])
    assert seen[0] == "Skip to the settings"
    assert {"start", "source", "soften", "setting-prompt", "setting-pipeline", "setting-seed", "reset"} <= set(seen)
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("?")
    expect(page.locator("dialog[open]")).to_contain_text("Start or stop")
    assert watched.axe() == []
    page.keyboard.press("Escape")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("/")
    expect(page.locator("#setting-prompt")).to_be_focused()
    page.keyboard.type(" ?")
    expect(page.locator("dialog[open]")).to_have_count(0)
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Space")
    watched.until_live()
    page.keyboard.press("Space")
    watched.until_state("Ready")


def test_shortcuts_can_be_turned_off_and_colours_chosen(open_page: Open) -> None:
    watched = open_page(scheme="light")
    page = watched.page
    page.get_by_role("button", name="Preferences").click()
    assert watched.axe() == []
    page.uncheck("#keys-on")
    page.select_option("#theme", "dark")
    page.keyboard.press("Escape")
    page.reload()
    page.wait_for_selector("#setting-prompt")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(16, 18, 23)"
    page.keyboard.press("Space")
    page.keyboard.press("?")
    expect(page.locator("dialog[open]")).to_have_count(0)
    watched.until_state("Ready")


def test_who_asks_for_less_motion_gets_less_flicker(open_page: Open) -> None:
    watched = open_page(reduced_motion="reduce")
    page = watched.page
    expect(page.locator("#soften")).to_be_checked()
    expect(page.locator("#setting-steadiness")).to_have_value("0.95")
    assert "contrast" in page.evaluate("getComputedStyle(document.getElementById('result')).filter")
    assert page.evaluate("document.getAnimations().length") == 0
    watched.start()
    page.get_by_text("Motion", exact=True).click()
    page.uncheck("#soften")
    watched.until_applied("steadiness")
    expect(page.locator("#setting-steadiness")).to_have_value("0.6")
    page.reload()
    page.wait_for_selector("#setting-prompt")
    expect(page.locator("#soften")).not_to_be_checked()


def test_nothing_is_lost_in_a_small_window(open_page: Open) -> None:
    watched = open_page(viewport={"width": 320, "height": 640})
    page = watched.page
    watched.start()
    for details in page.locator("details").all():
        details.evaluate("element => { element.open = true; }")
    for height in (640, 256):  # a phone; 1280 by 1024 at 400 %
        page.set_viewport_size({"width": 320, "height": height})
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        too_wide = page.evaluate(
            """() => [...document.querySelectorAll("body *")].filter((element) => {
              const { right, width } = element.getBoundingClientRect();
              return width > 1 && right > innerWidth + 1;
            }).map((element) => element.outerHTML.slice(0, 80))"""
        )
        assert too_wide == []
        assert watched.axe() == []


def test_the_smallest_page_of_the_documents_works(open_page: Open) -> None:
    text = (ROOT / "docs" / "howto" / "javascript-client.md").read_text()
    example = text.partition("```html\n")[2].partition("```")[0]
    watched = open_page()
    page = watched.page
    page.route("**/example.html", lambda route: route.fulfill(body=example, content_type="text/html"))
    page.goto(f"{watched.origin}/example.html")
    expect(page.locator("#state")).to_have_text("running")
    watched.wait_frames(5)
    page.fill("#prompt", "x" * 1001)
    with page.expect_event("dialog") as refused:
        page.once("dialog", lambda dialog: dialog.dismiss())
        page.press("#prompt", "Enter")
    assert "not changed" in refused.value.message
