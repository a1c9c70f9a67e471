"""Makes the pictures of the documents, in `docs/pictures/`: `page.png`, the page at work in Chromium; the page in its
main states at three widths, light and dark, and in its passing ones once at each width; and `styles.jpg`, one camera
picture in five styles.

    python -m bench.make_pictures
"""

from __future__ import annotations

import io
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import Browser, Page, Route, ViewportSize, sync_playwright

from bench.painted import paint
from pipeline.frame import Pixels
from run import ROOT
from tests.e2e.chromium import NO_WEBRTC, Server, Talk, Watched, chromium, guarded
from tests.media import HEIGHT, WIDTH, camera_film, photograph

Scheme = Literal["light", "dark"]

PICTURES = ROOT / "docs" / "pictures"
LARGEST_SET = 2_500_000  # bytes of all of them
SIZES = ((1280, 800), (768, 1024), (360, 780))
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
PASSING: tuple[tuple[Scheme, tuple[int, int]], ...] = (("light", SIZES[0]), ("dark", SIZES[1]), ("dark", SIZES[2]))
QUALITY = 70
LARGEST = 400_000  # bytes of one picture: a README is read on phones too
PAGE_PROMPT = "starry night by van gogh"
STYLES = ("starry night by van gogh", "pencil sketch", "stained glass", "ukiyo-e wave by hokusai", "cubism by picasso")
TILE = 384  # pixels
CAPTION = 36
COLOURS = 256  # of the page's picture: what a small PNG can have


def page_pictures(folder: Path) -> dict[str, bytes]:
    """By file name: the README's `page.png`, and the page in its main states, by width and colour scheme."""
    pictures = {}
    [pixels] = paint(_camera_square(), [PAGE_PROMPT])
    painted = _jpeg(Image.fromarray(pixels))
    server = Server(folder / "log")
    server.start()
    try:
        with sync_playwright() as playwright, chromium(playwright, camera_film(folder)) as browser:
            for scheme, (width, height) in itertools.product(SCHEMES, SIZES):
                for state, shot in _states(browser, server, scheme, width, height):
                    pictures[f"{state}-{width}-{scheme}.webp"] = _webp(shot)
                    if (state, width, scheme) == ("live", 1280, "dark"):
                        pictures["page.png"] = _png(shot)
            for scheme, (width, height) in PASSING:
                for state, shot in _passing_states(browser, server, scheme, width, height, painted):
                    pictures[f"{state}-{width}-{scheme}.webp"] = _webp(shot)
    finally:
        server.stop()
    return pictures


def _states(browser: Browser, server: Server, scheme: Scheme, width: int, height: int) -> Iterator[tuple[str, bytes]]:
    def open_page(permissions: list[str]) -> Watched:
        watched = _new_page(browser, server, scheme, width, height, permissions)
        watched.page.goto(server.url)
        watched.page.wait_for_selector("#looks")
        watched.page.wait_for_selector("#source option", state="attached")
        return watched

    blocked = open_page([])
    blocked.page.click("#start")
    blocked.until_state("Stopped")
    yield "error", _shot(blocked.page)
    blocked.page.context.close()
    watched = open_page(["camera"])
    page = watched.page
    yield "idle", _shot(page)
    page.fill("#setting-prompt", PAGE_PROMPT)
    watched.start()
    watched.wait_frames(60)  # the look glides, and the latency comes to rest
    yield "live", _shot(page)
    page.select_option("#compare", "slider")
    watched.wait_frames(2)
    yield "slider", _shot(page)
    page.locator("body").press("l")
    page.wait_for_selector(".look")
    page.wait_for_load_state("networkidle")
    yield "gallery", _shot(page)
    page.context.close()


def _passing_states(
    browser: Browser, server: Server, scheme: Scheme, width: int, height: int, painted: bytes
) -> Iterator[tuple[str, bytes]]:
    """Those that a real server is not in at will: `Talk` speaks in its place."""
    locked = _new_page(browser, server, scheme, width, height).page
    guarded(locked)
    locked.goto(server.url)
    locked.wait_for_selector("#token")
    yield "signin", _shot(locked)
    locked.context.close()

    asking = _new_page(browser, server, scheme, width, height)
    asking.page.add_init_script("navigator.mediaDevices.getUserMedia = () => new Promise(() => {})")
    asking.page.goto(server.url)
    asking.page.wait_for_selector("#looks")
    asking.page.click("#start")
    asking.until_state("Your turn")
    yield "asking", _shot(asking.page)
    asking.page.context.close()

    watched = _new_page(browser, server, scheme, width, height)
    page = watched.page
    page.add_init_script(NO_WEBRTC)
    page.route("**/api/settings/schema", _with_diffusion)
    talk = Talk(page)
    talk.status |= {"device": "GPU", "models": [], "settings": talk.status["settings"] | {"prompt": PAGE_PROMPT}}
    page.goto(server.url)
    page.wait_for_selector("#looks")
    watched.start()
    talk.is_now(state="queued", place=2, wait_s=40)
    watched.until_state("In line")
    yield "queued", _shot(page)
    download = {"stage": "download", "done": 1.2e9, "total": 2.4e9, "unit": "bytes", "eta_s": 40.0}
    talk.is_now(state="loading", progress=download)
    watched.until_state("Loading")
    yield "loading", _shot(page)
    talk.is_now(state="running", progress=None, place=None)
    talk.painted = painted
    talk.say("stats", stages_ms={}, fps_in=30, fps_out=3, dropped={})
    page.wait_for_selector("#remedy-do")
    yield "degraded", _shot(page)
    talk.is_now(state="closed", reason="draining", message="The server is restarting.", retry_in_s=9)
    watched.until_state("Reconnecting")
    yield "reconnecting", _shot(page)
    page.context.close()


def _new_page(
    browser: Browser, server: Server, scheme: Scheme, width: int, height: int, permissions: list[str] | None = None
) -> Watched:
    viewport = ViewportSize(width=width, height=height)
    granted = ["camera"] if permissions is None else permissions
    context = browser.new_context(permissions=granted, color_scheme=scheme, viewport=viewport)
    return Watched(context.new_page(), server.url)


def _with_diffusion(route: Route) -> None:
    """The settings as a server with a GPU has them."""
    response = route.fetch()
    schema = response.json()
    schema["properties"]["pipeline"]["enum"].append("diffusion")
    route.fulfill(response=response, json=schema)


def _shot(page: Page) -> bytes:
    """From the top of the page, with nothing under the pointer; the fake camera's name is the path of its film."""
    page.mouse.move(0, 0)
    page.evaluate(
        """() => {
          const name = document.querySelector("#source").selectedOptions[0];
          if (name.text.includes("/")) name.text = "Webcam";
          scrollTo(0, 0);
        }"""
    )
    return page.screenshot()


def _png(shot: bytes) -> bytes:
    buffer = io.BytesIO()
    few = Image.open(io.BytesIO(shot)).convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE, kmeans=1)
    few.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _webp(shot: bytes) -> bytes:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(shot)).convert("RGB").save(buffer, "WEBP", quality=QUALITY, method=6)
    return buffer.getvalue()


def _jpeg(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85, optimize=True)
    return buffer.getvalue()


def styles_picture() -> bytes:
    """The camera picture and five styles, two rows of three, each with its prompt."""
    square = _camera_square()
    tiles = [("camera", square), *zip(STYLES, paint(square, STYLES), strict=True)]
    columns, rows = 3, 2
    sheet = Image.new("RGB", (columns * TILE, rows * (TILE + CAPTION)), "#101217")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(18)
    for index, (words, pixels) in enumerate(tiles):
        left, top = index % columns * TILE, index // columns * (TILE + CAPTION)
        sheet.paste(Image.fromarray(pixels).resize((TILE, TILE), Image.Resampling.LANCZOS), (left, top))
        draw.text((left + TILE / 2, top + TILE + CAPTION / 2), words, "#e9ebf1", font, anchor="mm")
    return _jpeg(sheet)


def _camera_square() -> Pixels:
    """The middle of a camera picture, in the shape that the painter works in."""
    picture = photograph(WIDTH / 512)[:HEIGHT]
    left = (WIDTH - HEIGHT) // 2
    return np.ascontiguousarray(picture[:, left : left + HEIGHT])


def main() -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        pictures = page_pictures(Path(folder)) | {"styles.jpg": styles_picture()}
    whole = sum(map(len, pictures.values()))
    assert whole <= LARGEST_SET, f"{whole} bytes, more than {LARGEST_SET}"
    for name, data in pictures.items():
        assert len(data) <= LARGEST, f"{name} has {len(data)} bytes, more than {LARGEST}"
        (PICTURES / name).write_bytes(data)
        print(f"{name}: {len(data) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
