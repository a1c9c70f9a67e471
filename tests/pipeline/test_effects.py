"""The ten effects: as they were when someone last looked, at any size, and the back end that lays them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipeline.backends.effects import Effects
from pipeline.effects import EFFECTS, VARIANTS, apply_effect
from pipeline.frame import Frame, Pixels
from tests.pipeline.samples import astronaut, distance, for_golden, golden, picture_of, small_settings

GOLDEN_TOLERANCE = 2.0  # levels: versions of OpenCV round differently; any two effects are 20 and more apart
PROPORTION_TOLERANCE = 12  # levels, of blurred pictures; without scaled kernels it is 20 and more
SIZES = [(256, 256), (1024, 256), (320, 1024), (1024, 1024), (16, 512), (512, 16), (16, 16)]


@pytest.mark.parametrize("name", EFFECTS)
def test_golden(name: str) -> None:
    assert distance(for_golden(apply_effect(name, astronaut())), golden(name)) < GOLDEN_TOLERANCE


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_any_size(width: int, height: int) -> None:
    picture = astronaut(width, height)  # read-only: writing to it would raise
    for name in EFFECTS:
        painted = apply_effect(name, picture)
        assert painted.shape == picture.shape, name
        assert painted.dtype == np.uint8, name


def test_a_look_keeps_its_proportions() -> None:
    """Painted at twice the size and halved, it is about what it is at the size itself."""
    for name in EFFECTS:
        small, large = apply_effect(name, astronaut(384, 384)), apply_effect(name, astronaut(768, 768))
        halved = np.asarray(cv2.resize(large, (384, 384), interpolation=cv2.INTER_AREA), np.uint8)
        assert distance(_blurred(small), _blurred(halved)) < PROPORTION_TOLERANCE, name


def _blurred(picture: Pixels) -> Pixels:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 3), np.uint8)


def test_variants_differ_and_repeat() -> None:
    for name in EFFECTS:
        pictures = [apply_effect(name, astronaut(), variant) for variant in range(VARIANTS)]
        assert any(distance(pictures[0], other) > 0.5 for other in pictures[1:]), name
        assert np.array_equal(apply_effect(name, astronaut(), 1), pictures[1]), name


def test_sensor_noise_on_a_wall_does_not_become_a_drawing() -> None:
    noise = np.clip(np.random.default_rng(0).normal(128, 2, (256, 256, 3)), 0, 255).astype(np.uint8)
    for name in EFFECTS:
        tone = cv2.GaussianBlur(apply_effect(name, noise), (0, 0), 6)
        assert tone.std(axis=(0, 1)).max() < 20, name
    assert apply_effect("gradient_map", noise).std(axis=(0, 1)).max() < 25


def test_a_neural_style_becomes_the_nearest_effect() -> None:
    backend = Effects()
    state = backend.new_state(small_settings(prompt="starry night by van gogh"))
    assert backend.notes(state) == ["effect mix: 100 % oil (match 1.0)"]
    assert set(state.resolution.mix) == {"oil"}


def test_the_effect_is_the_one_named() -> None:
    backend, frame = Effects(), Frame.from_rgb(astronaut())
    for name in ("ink", "pixel"):
        state = backend.new_state(small_settings(prompt=name, seed=2))
        (answer,) = backend.step([(state, frame)])
        assert np.array_equal(picture_of(answer), apply_effect(name, astronaut(), 2))
