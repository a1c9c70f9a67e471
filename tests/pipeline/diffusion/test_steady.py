"""Steadiness: less flicker on what stands still, no ghost of what moves, and every change at once."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from pipeline.backends.diffusion import Diffusion
from pipeline.backends.diffusion.state import Session
from pipeline.backends.diffusion.steady import LEAST_GAIN, average, gain, least_gain
from pipeline.frame import Frame, Pixels
from tests.pipeline.diffusion.harness import SIDE, frame, rgb, small
from tests.pipeline.samples import astronaut

SCENE = astronaut(SIDE, SIDE)
NOISE = 4.0  # levels, of a webcam in a room


def noisy(index: int, scene: Pixels = SCENE) -> Frame:
    noise = np.random.default_rng(index).normal(0, NOISE, scene.shape)
    return Frame.from_rgb(np.clip(scene + noise, 0, 255).astype(np.uint8))


def paint(backend: Diffusion, session: Session, camera: Frame) -> np.ndarray:
    (answer,) = backend.step([(session, camera)])
    return rgb(answer).astype(int)


def flicker(backend: Diffusion, session: Session) -> float:
    pictures = [paint(backend, session, noisy(index)) for index in range(16)]
    return float(np.mean([np.abs(one - other).mean() for one, other in pairwise(pictures[5:])]))


@pytest.mark.parametrize("steps", [1, 2])
def test_flicker_falls_as_steadiness_rises(backend: Diffusion, steps: int) -> None:
    measured = [
        flicker(backend, backend.new_state(small(steadiness=steadiness, steps=steps, denoising_strength=0.3)))
        for steadiness in (0.0, 0.3, 0.6, 1.0)
    ]
    assert measured == sorted(measured, reverse=True)
    assert measured[2] < 0.5 * measured[0], measured
    assert measured[3] < 0.25 * measured[0], measured


def test_the_camera_is_averaged(backend: Diffusion) -> None:
    session = backend.new_state(small(steadiness=0.9))
    for index in range(30):
        paint(backend, session, noisy(index))
    stream = session._shown
    assert stream
    assert stream.camera is not None
    seen = (stream.camera[0].permute(1, 2, 0).numpy() + 1) * (255 / 2)
    assert np.std(seen - SCENE) < 0.4 * NOISE


def test_the_painting_is_averaged_where_only_the_model_shimmers(backend: Diffusion) -> None:
    """On a camera picture that never changes."""
    generator = torch.Generator().manual_seed(0)

    def shimmer(_: object, __: object, picture: torch.Tensor) -> torch.Tensor:
        return picture + 0.05 * torch.randn(picture.shape, generator=generator)

    handle = backend._model.pipe.vae.decoder.register_forward_hook(shimmer)
    try:
        steady, plain = (backend.new_state(small(steadiness=steadiness)) for steadiness in (0.9, 0.0))
        changes = []
        for session in (steady, plain):
            pictures = [paint(backend, session, Frame.from_rgb(SCENE)) for _ in range(12)]
            changes.append(np.mean([np.abs(one - other).mean() for one, other in pairwise(pictures[5:])]))
    finally:
        handle.remove()
    assert changes[0] < 0.3 * changes[1]


def test_what_moves_leaves_no_ghost(backend: Diffusion) -> None:
    steady, plain = (backend.new_state(small(steadiness=steadiness)) for steadiness in (1.0, 0.0))
    for index in range(5):
        paint(backend, steady, noisy(index))
    for index in (1, 2):
        ghost = np.abs(paint(backend, steady, frame(index)) - paint(backend, plain, frame(index)))
        assert ghost.mean() < 2


@pytest.mark.parametrize(
    "values", [{"prompt": "neon"}, {"seed": 9}, {"denoising_strength": 0.3}, {"guidance": 4.0}, {"steps": 2}], ids=str
)
def test_a_change_shows_at_once(backend: Diffusion, values: dict[str, object]) -> None:
    before = small(cfg_type="full", denoising_strength=0.6)
    after = before.model_copy(update=values)
    session, target = backend.new_state(before.model_copy(update={"steadiness": 1.0})), backend.new_state(after)
    camera = Frame.from_rgb(SCENE)
    for _ in range(4):
        paint(backend, session, camera)
    backend.apply(session, after.model_copy(update={"steadiness": 1.0}), frozenset(values))
    for _ in range(after.steps):
        now, expected = paint(backend, session, camera), paint(backend, target, camera)
    assert np.abs(now - expected).max() <= 1


def test_a_glide_of_the_seed_is_not_held_up(backend: Diffusion) -> None:
    session, plain = (backend.new_state(small(steadiness=steadiness, seed=1)) for steadiness in (1.0, 0.0))
    camera = Frame.from_rgb(SCENE)
    for one in (session, plain):
        paint(backend, one, camera), paint(backend, one, camera)
        settings = one.settings.model_copy(update={"seed": 5, "glide_frames": 4})
        backend.apply(one, settings, frozenset({"seed", "glide_frames"}))
    for _ in range(4):
        assert np.abs(paint(backend, session, camera) - paint(backend, plain, camera)).max() <= 1


def test_turned_off_it_remembers_nothing(backend: Diffusion) -> None:
    session, plain = backend.new_state(small(steadiness=1.0)), backend.new_state(small())
    for index in range(4):
        paint(backend, session, noisy(index))
    backend.apply(session, small(), frozenset({"steadiness"}))
    assert np.array_equal(paint(backend, session, noisy(9)), paint(backend, plain, noisy(9)))


def test_sessions_are_steadied_each_by_its_own(backend: Diffusion) -> None:
    def sessions() -> list[Session]:
        return [backend.new_state(small(steadiness=steadiness)) for steadiness in (0.9, 0.0, 0.4)]

    together, apart = sessions(), sessions()
    for index in range(6):
        cameras = [noisy(index), noisy(index + 50), noisy(index, 255 - SCENE)]
        answers = backend.step(list(zip(together, cameras, strict=True)))
        for answer, session, camera in zip(answers, apart, cameras, strict=True):
            assert np.abs(rgb(answer).astype(int) - paint(backend, session, camera)).max() <= 1


def test_gain_by_motion() -> None:
    still = torch.zeros(2, 3, 64, 64)
    moved = still.clone()
    moved[1, :, 24:40, 24:40] = 0.5
    weight = gain(moved, still, torch.tensor([0.25, 0.1]).view(2, 1, 1, 1))
    assert torch.allclose(weight[0], torch.tensor(0.25))
    assert (weight[1, 0, 20:44, 20:44] > 0.999).all()
    assert torch.allclose(weight[1, 0, :8], torch.tensor(0.1))
    assert torch.allclose(average(still, moved, weight)[1, :, 30, 30], torch.tensor(0.5))


def test_noise_is_no_motion() -> None:
    noise = torch.randn((1, 3, 64, 64), generator=torch.Generator().manual_seed(0)) * NOISE * 2 / 255
    assert gain(noise, torch.zeros_like(noise), torch.full((1, 1, 1, 1), 0.2)).mean() < 0.21


def test_least_gain() -> None:
    assert [least_gain(steadiness) for steadiness in (0, 0.6, 1)] == [1, 0.4, LEAST_GAIN]
