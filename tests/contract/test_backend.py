"""What every pipeline promises, whichever it is: run against all that can run here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from pipeline.backend import Backend, Progress
from pipeline.errors import BackendUnavailable, PipelineError
from pipeline.frame import Frame, PixelFormat, frame_bytes
from pipeline.registry import ENTRIES, make
from pipeline.settings import Settings
from tests.pipeline.diffusion.tiny_model import AtOnce

SIZES = [(640, 480), (641, 481), (16, 16), (17, 300), (1280, 720)]
CHANGES: dict[str, object] = {
    "prompt": "hokusai, neon",
    "prompts": [{"text": "ink", "weight": 2.0}, {"text": "monet", "weight": 1.0}],
    "negative_prompt": "yellow",
    "denoising_strength": 0.4,
    "guidance": 3.5,
    "delta": 0.5,
    "seed": 2**32 - 1,
    "glide_frames": 0,
    "steadiness": 1.0,
    "similarity_threshold": 0.98,
    "steps": 2,
    "cfg_type": "self",
    "width": 320,
    "height": 448,
    "fit": "letterbox",
}


Make = Callable[[], Backend[Any]]


@pytest.fixture(scope="module", params=[*ENTRIES, "diffusion, the GPU's way"])
def new(request: pytest.FixtureRequest) -> Make:
    """Makes a back end, not loaded yet."""
    name, _, gpu_way = request.param.partition(", ")
    if reason := ENTRIES[name].missing():
        pytest.skip(reason)
    if name != "diffusion":
        return lambda: make(name)
    folder = request.getfixturevalue("tiny_sd")
    from pipeline.backends.diffusion import Diffusion  # its libraries are not everywhere

    return lambda: Diffusion(str(folder), threads=1, executor=AtOnce(), graphs=bool(gpu_way))


@pytest.fixture(scope="module")
def backend(new: Make) -> Iterator[Backend[Any]]:
    """A loaded back end."""
    backend = new()
    try:
        backend.load(lambda progress: None)
    except BackendUnavailable as error:  # a model that is not on this machine
        pytest.skip(error.message)
    yield backend
    backend.close()


def settings_of(backend: Backend[Any], **values: object) -> Settings:
    return Settings.model_validate({"pipeline": backend.name, "width": 320, "height": 256} | values)


def picture(width: int, height: int, pixel_format: PixelFormat, seed: int = 0) -> Frame:
    """Smooth colours, as a camera gives, with some noise. Read-only: to write into it would raise."""
    y, x = np.mgrid[:height, :width]
    rgb = np.stack([x * 255 // width, y * 255 // height, (x + y) * 7 % 256], axis=2)
    noisy = np.clip(rgb + np.random.default_rng(seed).integers(-8, 9, rgb.shape), 0, 255).astype(np.uint8)
    frame = Frame.from_rgb(noisy).convert(pixel_format)
    frame.data.flags.writeable = False
    return frame


def size_of(backend: Backend[Any], settings: Settings, frame: Frame) -> tuple[int, int]:
    """What the answer must measure: a pipeline that ignores the size answers at the camera's."""
    return (frame.width, frame.height) if "width" in backend.ignores else (settings.width, settings.height)


def assert_sound(answer: Frame | PipelineError, size: tuple[int, int]) -> Frame:
    assert isinstance(answer, Frame), repr(answer)
    assert (answer.width, answer.height) == size
    assert answer.data.dtype == np.uint8
    assert answer.data.shape == (frame_bytes(*size, answer.format),)
    assert answer.data.flags.c_contiguous
    return answer


def test_it_is_what_the_registry_says(backend: Backend[Any]) -> None:
    entry = ENTRIES[backend.name]
    assert (backend.name, backend.title) == (entry.name, entry.title)
    assert set(backend.ignores) <= set(Settings.model_fields) - {"pipeline"}
    assert set(backend.rebuilds) <= set(Settings.model_fields) - {"pipeline"} - backend.ignores
    assert backend.device
    assert bool(backend.model) is entry.has_models


def test_loading_reports_progress_that_makes_sense(new: Make, backend: Backend[Any]) -> None:
    seen: list[Progress] = []
    fresh = new()
    fresh.load(seen.append)
    fresh.close()
    assert all(0 <= progress.done and (not progress.total or progress.done <= progress.total) for progress in seen)
    assert all(progress.stage for progress in seen)


@pytest.mark.parametrize("pixel_format", PixelFormat)
def test_any_picture_is_painted_and_left_as_it_was(backend: Backend[Any], pixel_format: PixelFormat) -> None:
    settings = settings_of(backend)
    state = backend.new_state(settings)
    for width, height in SIZES:
        frame = picture(width, height, pixel_format)
        before = frame.data.copy()
        (answer,) = backend.step([(state, frame)])
        assert_sound(answer, size_of(backend, settings, frame))
        assert np.array_equal(frame.data, before)


def test_an_answer_is_the_frame_itself_or_stands_in_its_own_memory(backend: Backend[Any]) -> None:
    for strength in (0.0, 0.5, 1.0):
        state = backend.new_state(settings_of(backend, denoising_strength=strength, steadiness=0.0))
        for pixel_format in PixelFormat:
            frame = picture(320, 256, pixel_format)  # nothing has to be scaled
            (answer,) = backend.step([(state, frame)])
            assert isinstance(answer, Frame)
            assert answer is frame or not np.shares_memory(answer.data, frame.data)


def test_every_setting_can_be_changed_and_shows_with_the_next_frame(backend: Backend[Any]) -> None:
    assert set(CHANGES) | {"pipeline"} == set(Settings.model_fields), "a new setting belongs into this test"
    for name, value in CHANGES.items():
        settings = settings_of(backend)
        state = backend.new_state(settings)
        frame = picture(640, 480, PixelFormat.I420)
        backend.step([(state, frame)])
        settings = settings_of(backend, **{name: value})
        backend.apply(state, settings, frozenset({name}))
        (answer,) = backend.step([(state, frame)])
        assert_sound(answer, size_of(backend, settings, frame))


def test_all_settings_at_once(backend: Backend[Any]) -> None:
    state = backend.new_state(settings_of(backend))
    values = {name: value for name, value in CHANGES.items() if name != "prompt"}
    settings = settings_of(backend, **values)
    backend.apply(state, settings, frozenset(values))
    for seed in range(3):
        frame = picture(640, 480, PixelFormat.I420, seed)
        (answer,) = backend.step([(state, frame)])
        assert_sound(answer, size_of(backend, settings, frame))


@pytest.mark.logs_errors("could not be painted")
def test_one_bad_frame_costs_nobody_else_theirs(backend: Backend[Any]) -> None:
    settings = settings_of(backend)
    good, bad = picture(640, 480, PixelFormat.I420), picture(640, 480, PixelFormat.I420)
    object.__setattr__(bad, "data", bad.data[:1000])
    states = [backend.new_state(settings) for _ in range(3)]
    answers = backend.step([(states[0], good), (states[1], bad), (states[2], good)])
    assert len(answers) == 3
    assert_sound(answers[0], size_of(backend, settings, good))
    assert answers[1] is bad or isinstance(answers[1], PipelineError)
    assert_sound(answers[2], size_of(backend, settings, good))
    (after,) = backend.step([(states[1], good)])
    assert_sound(after, size_of(backend, settings, good))


def test_no_frames_no_answers(backend: Backend[Any]) -> None:
    assert backend.step([]) == []


def test_notes_are_lines_for_the_user(backend: Backend[Any]) -> None:
    for prompt in ("", "van gogh", "a cat", "🔥" * 500):
        notes = backend.notes(backend.new_state(settings_of(backend, prompt=prompt)))
        assert type(notes) is list
        assert all(type(note) is str for note in notes)
        assert all(note and "\n" not in note for note in notes)


def test_sessions_do_not_share(backend: Backend[Any]) -> None:
    frames = [picture(320, 256, PixelFormat.RGB24, seed) for seed in range(3)]
    wishes = [settings_of(backend, prompt="pencil, hokusai"), settings_of(backend, prompt="neon", seed=9)]
    alone = []
    for settings in wishes:
        state = backend.new_state(settings)
        alone.append([backend.step([(state, frame)])[0] for frame in frames])
    states = [backend.new_state(settings) for settings in wishes]
    for index, frame in enumerate(frames):
        for expected, answer in zip(alone, backend.step([(state, frame) for state in states]), strict=True):
            first = expected[index]
            assert isinstance(first, Frame)
            assert isinstance(answer, Frame)
            # Bit equal but for rounding: a matrix product of more rows may add in another order.
            assert np.abs(first.data.astype(int) - answer.data).max() <= (1 if backend.batch_limit > 1 else 0)
