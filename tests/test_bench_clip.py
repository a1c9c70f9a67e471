"""The figures for flicker and sharpness say what they are meant to say, and the clip moves as it says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from bench.clip import FPS, SECONDS, clip, flicker, sharpness
from bench.steadiness import steadied
from pipeline.backends.identity import Identity
from pipeline.errors import PipelineError
from pipeline.frame import Frame, Pixels
from pipeline.settings import Settings
from tests.pipeline.samples import astronaut

STILL = (0.0, 0.0)


def shifted(picture: Pixels, dx: int, dy: int) -> Pixels:
    return np.roll(picture, (dy, dx), (0, 1))


def noisy(picture: Pixels, sigma: float, seed: int) -> Pixels:
    grey = picture // 2 + 64  # far from black and white, where noise would be cut off
    return (grey + np.random.default_rng(seed).normal(0, sigma, picture.shape)).round().astype(np.uint8)


def half(picture: Pixels) -> Pixels:
    return np.asarray(cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)


def test_a_still_clean_clip_does_not_flicker() -> None:
    assert flicker([astronaut()] * 3, [STILL] * 3) == 0


@pytest.mark.parametrize("flow", [(3, 0), (-3, 0), (0, 5), (0, -5), (-2, 4)])
def test_motion_is_no_flicker_if_it_is_known(flow: tuple[int, int]) -> None:
    pictures = [astronaut(), shifted(astronaut(), *flow), shifted(astronaut(), 2 * flow[0], 2 * flow[1])]
    assert flicker(pictures, [STILL, flow, flow]) == 0  # what comes in at the border does not count
    assert flicker(pictures, [STILL] * 3) > 3
    assert flicker(pictures, [STILL, *[(-flow[0], -flow[1])] * 2]) > 3


def test_half_a_pixel_is_motion_too() -> None:
    wide = astronaut(512, 512)
    halves = [half(shifted(wide, dx, 0)) for dx in (0, 1)]
    known, unknown = flicker(halves, [STILL, (0.5, 0.0)]), flicker(halves, [STILL, STILL])
    assert known < 0.7 * unknown


def test_noise_flickers_by_its_size() -> None:
    for sigma in (2.0, 4.0):
        pictures = [noisy(astronaut(), sigma, seed) for seed in range(3)]
        assert flicker(pictures, [STILL] * 3) == pytest.approx(2 * sigma / math.sqrt(math.pi), rel=0.03)


def test_a_blur_lowers_sharpness_and_noise_hardly_raises_it() -> None:
    clean = noisy(astronaut(), 0, 0)
    blurred = np.asarray(cv2.GaussianBlur(clean, (0, 0), 2.0), np.uint8)
    assert sharpness([blurred]) < 0.8 * sharpness([clean])
    assert sharpness([noisy(astronaut(), 4, 0)]) < 1.15 * sharpness([clean])
    assert sharpness([clean, blurred]) == pytest.approx((sharpness([clean]) + sharpness([blurred])) / 2)


def test_the_clip_moves_as_it_says() -> None:
    samples = clip(128, noise=0)
    pictures, flows = [sample.frame.rgb() for sample in samples], [sample.flow for sample in samples]
    assert len(samples) == FPS * SECONDS
    assert flicker(pictures, flows) == 0
    half = len(samples) // 2
    assert flows[:half] == [STILL] * half
    assert sum(flow != STILL for flow in flows[half:]) > 25
    assert max(max(map(abs, flow)) for flow in flows) <= 2
    assert flicker(pictures, [STILL] * len(pictures)) > 1


def test_the_clip_has_a_cameras_noise_and_is_always_the_same() -> None:
    samples = clip(128)
    pictures = [sample.frame.rgb() for sample in samples]
    assert 3.5 < flicker(pictures, [sample.flow for sample in samples]) < 4.6  # cut off at black and white
    assert np.array_equal(pictures[-1], clip(128)[-1].frame.rgb())


@dataclass
class Mixed:
    """The mean of the camera pictures so far, each one counted less than the next."""

    steadiness: float
    mean: Pixels | None = None


class Mixing(Identity):
    """Steady by mixing with what was: what moves is blurred."""

    def new_state(self, settings: Settings) -> Mixed:  # type: ignore[override]
        return Mixed(settings.steadiness)

    def step(self, batch: Sequence[tuple[Mixed, Frame]]) -> list[Frame | PipelineError]:  # type: ignore[override]
        answers: list[Frame | PipelineError] = []
        for state, frame in batch:
            before = frame.rgb() if state.mean is None else state.mean
            state.mean = np.asarray(cv2.addWeighted(before, state.steadiness, frame.rgb(), 1 - state.steadiness, 0))
            answers.append(Frame.from_rgb(state.mean))
        return answers


def test_a_steadiness_that_blurs_is_seen_to() -> None:
    off, on = (steadied(Mixing(), steadiness, 256) for steadiness in (0.0, 0.8))
    assert 3.5 < off.still < 4.6
    assert 3.5 < off.moving < 4.6
    assert on.still < off.still / 2
    assert on.moving > 1.2 * on.still
    assert on.sharpness < 0.9 * off.sharpness
    assert 0 < off.ms < on.ms * 3
