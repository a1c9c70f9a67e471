"""The gallery's files are what `python -m bench.make_looks` makes of today's words, and small."""

from __future__ import annotations

import pytest
from PIL import Image

from bench.make_looks import COLUMNS, FOLDER, LARGEST, TILE, index, looks
from pipeline.prompts import EFFECTS, STYLES, resolve


def test_the_index_is_current() -> None:
    assert (FOLDER / "looks.json").read_text() == index(looks())


@pytest.mark.parametrize("name", [*STYLES, *EFFECTS])
def test_picking_one_gives_exactly_that(name: str) -> None:
    (prompt,) = (look["prompt"] for look in looks() if look["group"] != "preset" and look["key"] == name)
    resolution = resolve(prompt)
    assert resolution.mix == {name: 1.0}
    assert resolution.score == 1


def test_every_preset_is_understood_by_a_painter_without_a_text_model() -> None:
    presets = [look for look in looks() if look["group"] == "preset"]
    assert len(presets) == 12
    assert [look["prompt"] for look in presets if not resolve(look["prompt"]).understood] == []


def test_the_picture_has_a_tile_for_each_and_is_small() -> None:
    picture, listed = FOLDER / "looks.webp", FOLDER / "looks.json"
    assert picture.stat().st_size + listed.stat().st_size <= LARGEST
    with Image.open(picture) as opened:
        assert opened.size == (COLUMNS * TILE, -(-len(looks()) // COLUMNS) * TILE)
