"""Looks as numbers: the glide between two, what seed, negative prompt and steadiness do to them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.backends.style.blend import exaggerate, style_params
from pipeline.backends.style.detail import enlarge_with_detail
from pipeline.frame import Pixels
from pipeline.painting import wish
from pipeline.painting.look import Brush, Glide, Look, between, lay_effects
from pipeline.painting.smooth import Smoother
from pipeline.prompts import EFFECTS, STYLES, Resolution, resolve
from tests.pipeline.samples import astronaut, distance

TARGETS = sorted(set(STYLES) | set(EFFECTS))
MIXES = st.dictionaries(st.sampled_from(TARGETS), st.floats(0.1, 1), min_size=1, max_size=4)
AVOIDED = st.dictionaries(st.sampled_from(TARGETS), st.floats(0.1, 1), max_size=4)


@given(MIXES, AVOIDED, st.integers(0, 2**32 - 1))
def test_any_look_is_sound(mix: dict[str, float], avoid: dict[str, float], seed: int) -> None:
    resolution = Resolution({name: weight / sum(mix.values()) for name, weight in mix.items()}, avoid, 1.0)
    look = wish.look(resolution, seed)
    assert look == wish.look(resolution, seed)
    assert sum(look.weights.values()) == pytest.approx(1)
    assert len(look.effects) <= wish.MOST_EFFECTS
    assert all(weight > 0 for weight in look.effects.values())
    assert look.neural == (1.0 if set(mix) & set(STYLES) else 0.0)
    if look.neural:
        assert sum(look.styles.values()) > 0


def test_a_glide_approaches_without_turning_back_and_arrives() -> None:
    old, new = Look({Brush("ink", 1): 1.0}, 0.0), Look({Brush("Frost"): 0.6, Brush("neon", 2): 0.4}, 1.0)
    glide = Glide(old)
    glide.turn_to(new, 8)
    frost = [glide.advance().weights.get(Brush("Frost"), 0.0) for _ in range(8)]
    assert frost == pytest.approx([0.6 * step / 8 for step in range(1, 9)])
    assert glide.now == new
    assert not glide.moving


def test_a_glide_that_is_turned_starts_from_where_it_stands() -> None:
    ink, neon, pixel = (Look({Brush(name): 1.0}) for name in ("ink", "neon", "pixel"))
    glide = Glide(ink)
    glide.turn_to(neon, 4)
    glide.advance()
    halfway = glide.now
    glide.turn_to(pixel, 4)
    assert glide.advance() == between(halfway, pixel, 0.25)
    glide.turn_to(neon, 0)
    assert glide.advance() == neon


@given(MIXES, MIXES, st.floats(0, 1))
def test_every_look_on_the_way_sums_to_one(one: dict[str, float], other: dict[str, float], part: float) -> None:
    old, new = (
        wish.look(Resolution({name: weight / sum(mix.values()) for name, weight in mix.items()}, {}, 1.0), 3)
        for mix in (one, other)
    )
    assert sum(between(old, new, part).weights.values()) == pytest.approx(1)


def test_seeds_choose_among_looks_that_are_nearly_equal() -> None:
    resolution = resolve("monet")
    looks = [wish.look(resolution, seed) for seed in range(20)]
    assert len({tuple(look.weights.items()) for look in looks}) == 20
    for look in looks:
        own = look.styles["Impressionist haze"] + look.styles.get("Pastel impressionist", 0.0)  # its near-equal
        assert own >= 1 - wish.SPICE_SHARE - 1e-9
    variants = {next(iter(wish.look(resolve("ink"), seed).effects)).variant for seed in range(20)}
    assert len(variants) > 5


def test_to_avoid_a_style_is_to_go_away_from_it() -> None:
    table = np.random.default_rng(0).normal(size=(26, 2, 5)).astype(np.float32)
    plain = style_params(table, wish.look(resolve("derain"), 2).styles)
    pushed = style_params(table, wish.look(resolve("derain", "hell"), 2).styles)
    hell = table[STYLES["Crimson inferno"].index]
    assert np.linalg.norm(pushed - hell) > np.linalg.norm(plain - hell) * 1.05


def test_params_are_the_weighted_mean() -> None:
    table = np.arange(26, dtype=np.float32)[:, None, None] * np.ones((1, 2, 3), np.float32)
    mix = style_params(table, {"Impressionist haze": 1.0, "Bold yellow contour": 3.0})
    assert np.allclose(mix, 0.75)
    with pytest.raises(ValueError, match="no positive sum"):
        style_params(table, {"Frost": 0.0})


def test_guidance_goes_on_through_the_painted_picture() -> None:
    plain, painted = np.full((4, 4, 3), 100, np.uint8), np.full((4, 4, 3), 120, np.uint8)
    levels = [int(exaggerate(painted, plain, guidance)[0, 0, 0]) for guidance in (1.0, 2.0, 5.0, 10.0)]
    assert levels[0] == 120
    assert levels == sorted(set(levels))


def test_detail_brings_the_camera_back_where_it_is_fine() -> None:
    camera = astronaut(512, 512)
    small = astronaut(256, 256)
    flat = np.full((256, 256, 3), 128, np.uint8)
    result = enlarge_with_detail(flat, camera, small)
    assert result.shape == camera.shape
    inner = np.corrcoef(_fine(result), _fine(camera))[0, 1]
    assert inner > 0.8, "eyes and mouth are where they were"
    noise = np.full((512, 512, 3), 128, np.uint8) + np.random.default_rng(1).integers(-2, 3, (512, 512, 1), np.int8)
    calm = enlarge_with_detail(flat, noise.astype(np.uint8), flat)
    assert calm.std() < 0.2, "sensor noise does not come back"


def _fine(picture: Pixels) -> NDArray[np.int16]:
    grey = picture[..., 1].astype(np.int16)
    return (grey[:, 4:] - grey[:, :-4]).ravel()


def test_smoothing_calms_noise_and_lets_motion_pass() -> None:
    chance = np.random.default_rng(4)
    clean = astronaut(128, 128)

    def noisy() -> Pixels:
        return np.asarray(np.clip(clean + chance.normal(0, 3, clean.shape), 0, 255), np.uint8)

    smoother, results = Smoother(), []
    for _ in range(12):
        results.append(smoother(noisy(), 0.6))
    assert distance(results[-1], clean) < 0.6 * distance(noisy(), clean)
    moved = np.roll(clean, 30, axis=1)
    assert distance(smoother(moved, 0.6), moved) < 3, "no ghost of the old picture"
    frame = noisy()
    assert smoother(frame, 0.0) is frame


def test_effects_are_laid_in_their_shares() -> None:
    picture = astronaut()
    both = lay_effects(Look({Brush("ink", 2): 0.5, Brush("pixel", 2): 0.5}), picture, picture)
    for name in ("ink", "pixel"):
        alone = lay_effects(Look({Brush(name, 2): 1.0}), picture, picture)
        assert 1 < distance(both, alone) < 80
    assert lay_effects(Look({Brush("Frost"): 1.0}, 1.0), picture, picture) is picture
