"""The neural style as a whole: what each setting does to the picture, and that sessions never share anything."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from pipeline.backends.style import NeuralStyle
from pipeline.effects import apply_effect
from pipeline.frame import Frame, PixelFormat, Pixels
from pipeline.geometry import fit
from pipeline.painting.session import PaintingSession
from pipeline.settings import Settings
from tests.pipeline.samples import (
    STYLE_PROMPTS,
    astronaut,
    distance,
    for_golden,
    golden,
    loaded_style,
    picture_of,
    small_settings,
)

GOLDEN_TOLERANCE = 3.0  # levels: other processors round differently; two styles are 20 and more apart


@pytest.fixture(scope="module")
def backend() -> Iterator[NeuralStyle]:
    backend = loaded_style()
    yield backend
    backend.close()


FRAME = Frame.from_rgb(astronaut())


def one(backend: NeuralStyle, state: PaintingSession, frame: Frame = FRAME) -> Pixels:
    (answer,) = backend.step([(state, frame)])
    return picture_of(answer)


def painted(backend: NeuralStyle, **values: object) -> Pixels:
    """The first picture of a new session."""
    return one(backend, backend.new_state(small_settings(**values)))


def change(backend: NeuralStyle, state: PaintingSession, **values: object) -> None:
    settings = Settings.model_validate(state.settings.model_dump() | values)
    backend.apply(state, settings, frozenset(values))


def film(length: int) -> list[Frame]:
    return [Frame.from_rgb(np.roll(astronaut(), 3 * index, axis=1)) for index in range(length)]


@pytest.mark.parametrize("name", STYLE_PROMPTS)
def test_golden(backend: NeuralStyle, name: str) -> None:
    result = painted(backend, prompt=STYLE_PROMPTS[name])
    assert distance(for_golden(result), golden(name)) < GOLDEN_TOLERANCE


@pytest.mark.parametrize("mode", ["crop", "letterbox", "stretch"])
def test_strength_0_is_the_fitted_camera_picture(
    backend: NeuralStyle, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "_net", None)  # which is not asked
    frame = Frame.from_rgb(astronaut(640, 480)).convert(PixelFormat.I420)
    state = backend.new_state(small_settings(denoising_strength=0.0, fit=mode))
    assert np.array_equal(one(backend, state, frame), fit(frame.rgb(), 256, 256, mode))  # type: ignore[arg-type]


def test_strength_is_the_way_from_the_camera_to_the_painting(backend: NeuralStyle) -> None:
    distances = [distance(painted(backend, denoising_strength=part), astronaut()) for part in (0.0, 0.3, 0.6, 1.0)]
    assert distances == sorted(set(distances))
    assert distances[3] > 20


def test_bars_stay_black(backend: NeuralStyle) -> None:
    state = backend.new_state(small_settings(fit="letterbox"))
    result = one(backend, state, Frame.from_rgb(astronaut(640, 360)))
    assert not result[:50].any()
    assert not result[-50:].any()
    assert result[100:150].any()


def test_a_change_of_prompt_glides(backend: NeuralStyle) -> None:
    start, end = painted(backend, prompt="frost"), painted(backend, prompt="hell")
    state = backend.new_state(small_settings(prompt="frost", glide_frames=6))
    assert np.array_equal(one(backend, state), start)
    change(backend, state, prompt="hell")
    left = [distance(one(backend, state), end) for _ in range(6)]
    assert left == sorted(left, reverse=True), "nearer with each frame"
    assert 0.3 * distance(start, end) < left[1] < distance(start, end)
    assert left[-1] == 0


def test_a_glide_from_effect_to_style_has_no_jump(backend: NeuralStyle) -> None:
    state = backend.new_state(small_settings(prompt="neon", glide_frames=10))
    change(backend, state, prompt="hokusai")
    pictures = [apply_effect("neon", astronaut(), 2)] + [one(backend, state) for _ in range(10)]
    steps = [distance(before, after) for before, after in pairwise(pictures)]
    assert max(steps) < 0.4 * distance(pictures[0], pictures[-1])


def test_sessions_that_take_turns_are_as_if_alone(backend: NeuralStyle) -> None:
    wishes = [
        small_settings(prompt="hokusai", steadiness=0.7),
        small_settings(prompt="fire, neon", seed=5, steadiness=0.3),
    ]
    frames = film(4)
    alone = []
    for settings in wishes:
        state = backend.new_state(settings)
        alone.append([one(backend, state, frame) for frame in frames])
    states = [backend.new_state(settings) for settings in wishes]
    for index, frame in enumerate(frames):
        answers = backend.step([(state, frame) for state in states])
        for session, answer in enumerate(answers):
            assert np.array_equal(picture_of(answer), alone[session][index])


def test_same_seed_same_picture(backend: NeuralStyle) -> None:
    for prompt in ("monet", "pencil"):
        assert np.array_equal(painted(backend, prompt=prompt, seed=7), painted(backend, prompt=prompt, seed=7))
        assert distance(painted(backend, prompt=prompt, seed=7), painted(backend, prompt=prompt, seed=8)) > 0.5


def test_guidance_negative_prompt_and_steps_each_change_the_picture(backend: NeuralStyle) -> None:
    plain = painted(backend, prompt="derain")
    assert distance(painted(backend, prompt="derain", guidance=5.0), astronaut()) > distance(plain, astronaut()) + 2
    assert distance(painted(backend, prompt="derain", negative_prompt="hell"), plain) > 2
    assert distance(painted(backend, prompt="derain", steps=2), plain) > 2


def test_a_prompt_without_a_style_keeps_the_look(backend: NeuralStyle) -> None:
    state = backend.new_state(small_settings(prompt="hokusai"))
    before = one(backend, state)
    assert backend.notes(state) == ["style mix: 100 % Japanese woodblock (match 1.0)"]
    change(backend, state, prompt="a cat")
    assert np.array_equal(one(backend, state), before)
    assert backend.notes(state) == ["no style word found in the prompt: keeping Japanese woodblock"]
    assert backend.notes(backend.new_state(small_settings(prompt="a cat"))) == [
        "no style word found in the prompt: keeping Starry night"
    ]


def test_prompts_blend_by_weight(backend: NeuralStyle) -> None:
    blended = [{"text": "hokusai", "weight": 3.0}, {"text": "neon", "weight": 1.0}]
    state = backend.new_state(small_settings(prompts=blended))
    assert backend.notes(state) == ["style mix: 75 % Japanese woodblock, 25 % neon (match 1.0)"]


def test_an_effect_alone_runs_without_the_network(backend: NeuralStyle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "_net", None)
    assert np.array_equal(painted(backend, prompt="ink"), apply_effect("ink", astronaut(), 2))


def test_similar_frames_are_answered_with_the_last_picture(backend: NeuralStyle) -> None:
    state = backend.new_state(small_settings(similarity_threshold=0.9))
    first, same, moved = film(1)[0], film(1)[0], Frame.from_rgb(np.roll(astronaut(), 40, axis=1))
    answer = backend.step([(state, first)])[0]
    assert backend.step([(state, same)])[0] is answer
    latest = backend.step([(state, moved)])[0]
    assert latest is not answer
    change(backend, state, prompt="hell")
    assert backend.step([(state, moved)])[0] is not latest, "a new prompt shows even if nothing moves"


def test_a_small_thing_that_moves_is_a_change(backend: NeuralStyle) -> None:
    state = backend.new_state(small_settings(similarity_threshold=0.9))
    answer = backend.step([(state, FRAME)])[0]
    hand = astronaut().copy()
    hand[200:220, 10:30] = 255 - hand[200:220, 10:30]
    assert backend.step([(state, Frame.from_rgb(hand))])[0] is not answer


def test_steadiness_calms_a_noisy_scene(backend: NeuralStyle) -> None:
    def flicker(steadiness: float) -> float:
        chance = np.random.default_rng(1)
        state = backend.new_state(small_settings(prompt="monet", steadiness=steadiness))
        pictures = []
        for _ in range(6):
            noisy = np.clip(astronaut() + chance.normal(0, 4, (256, 256, 3)), 0, 255).astype(np.uint8)
            pictures.append(one(backend, state, Frame.from_rgb(noisy)))
        return distance(pictures[-1], pictures[-2])

    assert flicker(0.8) < 0.8 * flicker(0.0)


def test_wide_results_use_a_wide_network(backend: NeuralStyle, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = []

    def net(picture: Pixels, params: object) -> Pixels:
        shapes.append(picture.shape)
        return picture

    monkeypatch.setattr(backend, "_net", net)
    state = backend.new_state(small_settings(width=512, height=256))
    assert one(backend, state, Frame.from_rgb(astronaut(512, 256))).shape == (256, 512, 3)
    assert shapes == [(176, 368, 3)]
