"""Makes the README's pictures: `docs/pictures/page.png`, the page at work in Chromium, and `docs/pictures/styles.jpg`,
one camera picture in five styles.

    python -m bench.make_pictures
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import sync_playwright

from bench.painted import paint
from pipeline.frame import Pixels
from run import ROOT
from tests.e2e.chromium import Server, Watched, chromium
from tests.media import HEIGHT, WIDTH, camera_film, photograph

PICTURES = ROOT / "docs" / "pictures"
LARGEST = 400_000  # bytes of one picture: a README is read on phones too
PAGE_PROMPT = "starry night by van gogh"
STYLES = ("starry night by van gogh", "pencil sketch", "stained glass", "ukiyo-e wave by hokusai", "cubism by picasso")
TILE = 384  # pixels
CAPTION = 36
COLOURS = 256  # of the page's picture: what a small PNG can have


def page_picture(folder: Path) -> bytes:
    """The page as a visitor sees it while it paints."""
    server = Server(folder / "log")
    server.start()
    try:
        with sync_playwright() as playwright, chromium(playwright, camera_film(folder)) as browser:
            context = browser.new_context(
                permissions=["camera"], color_scheme="dark", viewport={"width": 1280, "height": 800}
            )
            watched = Watched(context.new_page(), server.url)
            watched.page.goto(server.url)
            watched.page.wait_for_selector("#setting-prompt")
            watched.page.fill("#setting-prompt", PAGE_PROMPT)
            watched.start()
            watched.wait_frames(60)
            # The fake camera's name is the path of its film.
            watched.page.evaluate("document.querySelector('#source').selectedOptions[0].text = 'Webcam'")
            shot = watched.page.screenshot()
    finally:
        server.stop()
    buffer = io.BytesIO()
    few = Image.open(io.BytesIO(shot)).convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE, kmeans=1)
    few.save(buffer, "PNG", optimize=True)
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
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=85, optimize=True)
    return buffer.getvalue()


def _camera_square() -> Pixels:
    """The middle of a camera picture, in the shape that the painter works in."""
    picture = photograph(WIDTH / 512)[:HEIGHT]
    left = (WIDTH - HEIGHT) // 2
    return np.ascontiguousarray(picture[:, left : left + HEIGHT])


def main() -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        pictures = {"styles.jpg": styles_picture(), "page.png": page_picture(Path(folder))}
    for name, data in pictures.items():
        assert len(data) <= LARGEST, f"{name} has {len(data)} bytes, more than {LARGEST}"
        (PICTURES / name).write_bytes(data)
        print(f"{name}: {len(data) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
