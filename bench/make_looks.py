"""Makes the gallery's pictures: `static/looks/looks.webp`, one small picture of each look, and
`static/looks/looks.json`, which look stands where. The looks are the presets of `static/looks/presets.json`, and each
style and effect that a prompt can name; all are painted by the neural-style pipeline.

    python -m bench.make_looks
"""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
from PIL import Image

from bench.painted import paint
from pipeline.frame import Pixels
from pipeline.prompts import EFFECTS, STYLES
from run import ROOT
from tests.media import photograph

FOLDER = ROOT / "static" / "looks"
LARGEST = 60_000  # bytes of both files together: the page fetches them when the gallery is opened
COLUMNS = 8
TILE = 80  # pixels
SIDE = 512  # of what is painted
CLOSE_UP = 330  # of it is shown: a face, and the strokes on it
QUALITY = 45


def looks() -> list[dict[str, Any]]:
    """In the order of the tiles. The name of a style or an effect is a prompt that gives it and nothing else."""
    presets = json.loads((FOLDER / "presets.json").read_text())
    return [
        *({"group": "preset"} | preset for preset in presets),
        *({"group": "style", "key": name, "prompt": name} for name in STYLES),
        *({"group": "effect", "key": name, "prompt": effect.title} for name, effect in EFFECTS.items()),
    ]


def index(shown: list[dict[str, Any]]) -> str:
    rows = ",\n".join(f"    {json.dumps(look, ensure_ascii=False)}" for look in shown)
    return f'{{\n  "columns": {COLUMNS},\n  "rows": {-(-len(shown) // COLUMNS)},\n  "looks": [\n{rows}\n  ]\n}}\n'


def sheet(pictures: list[Pixels]) -> bytes:
    whole = Image.new("RGB", (COLUMNS * TILE, -(-len(pictures) // COLUMNS) * TILE))
    left, top = (SIDE - CLOSE_UP) // 2, 0
    for number, pixels in enumerate(pictures):
        close = Image.fromarray(pixels).crop((left, top, left + CLOSE_UP, top + CLOSE_UP))
        small = close.resize((TILE, TILE), Image.Resampling.LANCZOS)
        whole.paste(small, (number % COLUMNS * TILE, number // COLUMNS * TILE))
    buffer = io.BytesIO()
    whole.save(buffer, "WEBP", quality=QUALITY, method=6)
    return buffer.getvalue()


def main() -> None:
    shown = looks()
    square = np.ascontiguousarray(photograph(1.0)[:SIDE, :SIDE])
    picture = sheet(paint(square, [look["prompt"] for look in shown]))
    text = index(shown)
    size = len(picture) + len(text.encode())
    assert size <= LARGEST, f"{size} bytes, more than {LARGEST}"
    (FOLDER / "looks.webp").write_bytes(picture)
    (FOLDER / "looks.json").write_text(text)
    print(f"{len(shown)} looks: {size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
