"""What counts as the same picture, and what is remembered of it."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.policy.similarity import Similarity, likeness, thumbnail
from tests.pipeline.samples import astronaut

SCENE = astronaut(640, 480)


def test_likeness() -> None:
    black, white = (thumbnail(np.full((480, 640), level, np.uint8)) for level in (0, 255))
    assert likeness(black, white) == 0
    assert likeness(white, white) == 1


def test_noise_is_alike_and_a_small_thing_that_moves_is_not() -> None:
    noise = np.random.default_rng(0).normal(0, 4, SCENE.shape)
    noisy = np.clip(SCENE + noise, 0, 255).astype(np.uint8)
    assert likeness(thumbnail(SCENE), thumbnail(noisy)) > 0.99
    moved = SCENE.copy()
    moved[20:50, 20:50] = 0
    assert likeness(thumbnail(SCENE), thumbnail(moved)) < 0.9


@pytest.mark.parametrize("picture", [SCENE, SCENE[..., 1]], ids=["rgb", "luma"])
def test_a_picture_like_the_last_painted_is_skipped(picture: np.ndarray) -> None:
    similarity = Similarity()
    assert not similarity.skips(picture, 0.95)
    assert not similarity.skips(picture, 0.95)  # the first was never painted
    similarity.painted()
    assert similarity.skips(picture, 0.95)
    assert not similarity.skips(255 - picture, 0.95)
    similarity.forget()
    assert not similarity.skips(picture, 0.95)


def test_slow_change_is_seen_against_what_was_painted_not_against_what_was_skipped() -> None:
    similarity = Similarity()
    grey = [np.full((64, 64), level, np.uint8) for level in range(100, 130)]
    similarity.skips(grey[0], 0.95)
    similarity.painted()
    assert [similarity.skips(picture, 0.95) for picture in grey].index(False) == 13


def test_0_is_off() -> None:
    similarity = Similarity()
    for _ in range(3):
        assert not similarity.skips(SCENE, 0.0)
        similarity.painted()
