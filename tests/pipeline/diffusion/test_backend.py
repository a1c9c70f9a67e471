"""The back end as a whole: sessions, live settings and rebuilds, as a session in the worker meets them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.backends.diffusion import Diffusion
from pipeline.backends.diffusion.live import Conditioning
from pipeline.backends.diffusion.state import Session
from pipeline.backends.diffusion.transfer import HostTransfer
from pipeline.errors import ApplyFailed, BadFrame, DeviceLost, OutOfMemory
from pipeline.frame import Frame, PixelFormat, Pixels
from pipeline.settings import Settings
from tests.pipeline.diffusion.harness import SIDE, frame, rgb, small
from tests.pipeline.diffusion.tiny_model import AtOnce


def paint(backend: Diffusion, session: Session, seed: int = 0) -> Pixels:
    (answer,) = backend.step([(session, frame(seed))])
    return rgb(answer)


def change(backend: Diffusion, session: Session, **values: object) -> None:
    settings = session.settings.model_copy(update=values)
    backend.apply(session, settings, frozenset(values))


def fresh(backend: Diffusion, **values: object) -> Pixels:
    """The first picture of a new session of one step."""
    return paint(backend, backend.new_state(small(**values)))


@pytest.mark.parametrize(
    "values",
    [
        {"prompt": "neon"},
        {"prompt": "neon", "cfg_type": "full", "guidance": 3.0},
        {"negative_prompt": "a dog", "cfg_type": "full", "guidance": 3.0},
        {"negative_prompt": "a dog", "cfg_type": "initialize", "guidance": 3.0},
        {"guidance": 6.0, "cfg_type": "full"},
        {"seed": 9},
        {"denoising_strength": 0.2},
        {"fit": "stretch"},
        {"steps": 1, "cfg_type": "self"},
        {"width": 128},
        {"height": 128, "cfg_type": "full"},
    ],
    ids=str,
)
def test_a_change_shows_as_in_a_fresh_session_with_the_next_frame(
    backend: Diffusion, values: dict[str, object]
) -> None:
    start = {name: value for name, value in values.items() if name in ("cfg_type",) and "steps" not in values}
    session = backend.new_state(small(**start))
    wide = frame(1, 128, 64)
    backend.step([(session, wide)])
    if "cfg_type" in values:  # these remember earlier frames, in noise
        for stream in session._streams:
            stream.restart()
    change(backend, session, **values)
    (changed,) = backend.step([(session, wide)])
    new = backend.new_state(small().model_copy(update=start | values))
    (expected,) = backend.step([(new, wide)])
    assert np.array_equal(rgb(changed), rgb(expected))
    (before,) = backend.step([(backend.new_state(small(**start)), wide)])
    assert not np.array_equal(rgb(before), rgb(expected))


def test_two_sessions_never_mix(backend: Diffusion) -> None:
    alone = {prompt: fresh(backend, prompt=prompt) for prompt in ("a cat", "neon")}
    assert not np.array_equal(alone["a cat"], alone["neon"])
    sessions = [(prompt, backend.new_state(small(prompt=prompt))) for prompt in ("neon", "a cat", "neon")]
    answers = backend.step([(session, frame()) for _, session in sessions])
    for (prompt, _), answer in zip(sessions, answers, strict=True):
        assert np.abs(rgb(answer).astype(int) - alone[prompt]).max() <= 1


def test_the_camera_is_shown_until_the_first_picture(backend: Diffusion) -> None:
    session = backend.new_state(small(steps=4, seed=1))
    for index in range(3):
        assert np.array_equal(paint(backend, session, index), frame(index).rgb())
    assert not np.array_equal(paint(backend, session, 3), frame(3).rgb())


def test_a_rebuild_swaps_without_a_gap(backend: Diffusion) -> None:
    session, unchanged = (backend.new_state(small(steps=1)) for _ in range(2))
    paint(backend, session), paint(backend, unchanged)
    change(backend, session, steps=4, cfg_type="full", guidance=2.0)
    target = backend.new_state(small(steps=4, cfg_type="full", guidance=2.0))
    for index in range(6):
        old, new, now = (paint(backend, one, index) for one in (unchanged, target, session))
        expected = old if index < 3 else new
        assert np.abs(now.astype(int) - expected).max() <= 1, index
        assert np.abs(old.astype(int) - new).max() > 10


def test_a_session_that_has_painted_nothing_has_nothing_to_keep(backend: Diffusion) -> None:
    session = backend.new_state(small(steps=1))
    change(backend, session, steps=2, width=128)
    for index in range(2):
        assert paint(backend, session, index).shape == (SIDE, 128, 3)


def test_live_settings_reach_the_stream_that_warms_up(backend: Diffusion) -> None:
    session = backend.new_state(small(steps=1))
    paint(backend, session)
    change(backend, session, steps=2)
    change(backend, session, prompt="neon", seed=7, denoising_strength=0.4)
    target = backend.new_state(small(steps=2, prompt="neon", seed=7, denoising_strength=0.4))
    for index in range(3):
        now, expected = paint(backend, session, index), paint(backend, target, index)
    assert np.abs(now.astype(int) - expected).max() <= 1


def test_a_rebuild_that_is_taken_back_leaves_no_trace(backend: Diffusion) -> None:
    session, unchanged = (backend.new_state(small(steps=2, cfg_type="self")) for _ in range(2))
    for index in range(3):
        paint(backend, session, index), paint(backend, unchanged, index)
    change(backend, session, steps=3)
    change(backend, session, steps=2)
    for index in range(4):
        assert np.array_equal(paint(backend, session, index), paint(backend, unchanged, index))


def test_only_steps_method_and_size_need_another_stream(backend: Diffusion, monkeypatch: pytest.MonkeyPatch) -> None:
    session = backend.new_state(small())
    paint(backend, session)
    monkeypatch.setattr(session, "_new_stream", None)
    live = {"prompt": "neon", "negative_prompt": "dog", "guidance": 2.0, "seed": 5, "denoising_strength": 0.3}
    for name, value in (live | {"fit": "stretch", "glide_frames": 3}).items():
        change(backend, session, **{name: value})
        paint(backend, session)
    for name, value in {"steps": 2, "cfg_type": "full", "width": 128, "height": 128}.items():
        with pytest.raises(TypeError):
            change(backend, session, **{name: value})


def test_settings_that_fail_change_nothing(backend: Diffusion, monkeypatch: pytest.MonkeyPatch) -> None:
    session = backend.new_state(small())
    before = paint(backend, session)

    def fail() -> None:
        raise torch.OutOfMemoryError("on command")

    monkeypatch.setattr(session, "_new_stream", fail)
    with pytest.raises(ApplyFailed):
        change(backend, session, width=128, prompt="neon", seed=5)
    assert session.settings == small()
    assert np.array_equal(paint(backend, session), before)


def test_a_prompt_glides_there(backend: Diffusion) -> None:
    session = backend.new_state(small(prompt="a cat", glide_frames=5))
    target = fresh(backend, prompt="neon").astype(int)
    distances = [np.abs(paint(backend, session) - target).mean()]
    change(backend, session, prompt="neon")
    distances += [np.abs(paint(backend, session) - target).mean() for _ in range(5)]
    assert distances[-1] == 0
    assert all(later < earlier for earlier, later in pairwise(distances)), distances


@pytest.mark.logs_errors("a prompt could not be encoded")
def test_a_prompt_that_cannot_be_encoded_stops_no_frame(backend: Diffusion, monkeypatch: pytest.MonkeyPatch) -> None:
    session = backend.new_state(small())
    before = paint(backend, session)

    def fail(text: str) -> torch.Tensor:
        raise RuntimeError("on command")

    monkeypatch.setattr(backend._prompts, "encode", fail)
    change(backend, session, prompt="unheard of")
    assert np.array_equal(paint(backend, session), before)
    assert "the last prompt could not be encoded: keeping the one before" in backend.notes(session)
    newcomer = backend.new_state(small(prompt="unheard of too"))
    assert np.array_equal(paint(backend, newcomer), fresh(backend, prompt=""))


def test_strength_0_is_the_camera_picture(backend: Diffusion) -> None:
    session = backend.new_state(small(steps=2))
    for index in range(3):
        paint(backend, session, index)
    change(backend, session, denoising_strength=0.0)
    with spoilt(backend._model.pipe.unet, raising(AssertionError("not to be asked"))):
        assert np.array_equal(paint(backend, session, 5), frame(5).rgb())
    change(backend, session, denoising_strength=0.8)
    again = backend.new_state(small(steps=2))
    for index in range(3):
        assert np.array_equal(paint(backend, session, index), paint(backend, again, index))


def test_letterbox_bars_stay_black(backend: Diffusion) -> None:
    session = backend.new_state(small(fit="letterbox"))
    (answer,) = backend.step([(session, frame(0, 128, 64))])
    picture = rgb(answer)
    assert not picture[:16].any()
    assert not picture[48:].any()
    assert picture[16:48].mean() > 50


def nan_prompt(session: Session) -> None:
    for stream in session._streams:
        stream.set_conditioning(Conditioning(torch.full((1, 77, 16), torch.nan), torch.zeros(1, 77, 16)))


def no_streams(session: Session) -> None:
    session._shown = "spoilt"  # type: ignore[assignment]


@pytest.mark.parametrize("spoil", [nan_prompt, no_streams])
@pytest.mark.logs_errors("could not be painted")
def test_a_spoilt_session_fails_alone(backend: Diffusion, spoil: object) -> None:
    sessions = [backend.new_state(small(prompt=prompt)) for prompt in ("a", "b", "c")]
    assert callable(spoil)
    spoil(sessions[1])
    answers = backend.step([(session, frame()) for session in sessions])
    assert isinstance(answers[1], BadFrame)
    for index, prompt in ((0, "a"), (2, "c")):
        assert np.abs(rgb(answers[index]).astype(int) - fresh(backend, prompt=prompt)).max() <= 1


@contextmanager
def spoilt(module: torch.nn.Module, spoil: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[None]:
    """What `module`, a part of the model, answers goes through `spoil`."""

    def hook(_: object, __: object, answer: object) -> object:
        return (spoil(answer[0]),) if isinstance(answer, tuple) else spoil(answer)  # type: ignore[arg-type]

    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def nan(answer: torch.Tensor) -> torch.Tensor:
    return answer * torch.nan


def raising(error: Exception) -> Callable[..., torch.Tensor]:
    def fail(*_: object) -> torch.Tensor:
        raise error

    return fail


@pytest.mark.parametrize("steps", [1, 3])
def test_a_picture_of_no_numbers_costs_one_frame(backend: Diffusion, steps: int) -> None:
    session, fresh_one = (backend.new_state(small(steps=steps, steadiness=0.5)) for _ in range(2))
    with spoilt(backend._model.pipe.unet, nan):
        for _ in range(steps):  # it comes out with the last step
            (answer,) = backend.step([(session, frame())])
        assert isinstance(answer, BadFrame)
        assert answer.message == "The model gave values that are no numbers."
    for index in range(steps + 1):
        assert np.array_equal(paint(backend, session, index), paint(backend, fresh_one, index))


@pytest.mark.logs_errors("no memory for a frame")
def test_no_memory_costs_one_frame(backend: Diffusion, monkeypatch: pytest.MonkeyPatch) -> None:
    session, other = (backend.new_state(small(steps=2)) for _ in range(2))
    paint(backend, session), paint(backend, other)

    fail = raising(torch.OutOfMemoryError("on command"))
    with spoilt(backend._model.pipe.unet, fail):
        (answer,) = backend.step([(session, frame())])
    assert isinstance(answer, OutOfMemory)
    assert answer.fix == "Choose a smaller size or fewer steps."
    assert np.array_equal(paint(backend, session, 1), paint(backend, other, 1))  # nothing was forgotten
    with monkeypatch.context() as patch:
        patch.setattr(HostTransfer, "upload", fail)
        answers = backend.step([(session, frame()), (other, frame())])
    assert [type(answer) for answer in answers] == [OutOfMemory, OutOfMemory]
    assert np.array_equal(paint(backend, session, 2), paint(backend, other, 2))


def test_a_lost_device_is_nobody_s_frame(backend: Diffusion, monkeypatch: pytest.MonkeyPatch) -> None:
    session = backend.new_state(small())

    fail = raising(RuntimeError("CUDA error: device-side assert triggered"))
    monkeypatch.setattr(backend._compute, "is_alive", lambda: False)
    with spoilt(backend._model.pipe.unet, fail), pytest.raises(DeviceLost):
        backend.start([(session, frame())])
    monkeypatch.setattr(HostTransfer, "download", lambda *_: fail)
    waiting = backend.start([(session, frame())])
    with pytest.raises(DeviceLost):  # on a GPU an error shows where its work is waited for
        waiting()


def test_two_rounds_under_way(tiny_sd: Path) -> None:
    """As the worker's loop does it, in the GPU's way."""
    backend = Diffusion(str(tiny_sd), threads=1, executor=AtOnce(), graphs=True)
    backend.load(lambda progress: None)
    try:
        prompts = ("a", "b", "c", "d")
        sessions = [backend.new_state(small(prompt=prompt, steps=2)) for prompt in prompts]
        apart = [backend.new_state(small(prompt=prompt, steps=2)) for prompt in prompts]
        for index in range(6):
            first = backend.start([(session, frame(index)) for session in sessions[:3]])
            second = backend.start([(session, frame(index)) for session in sessions[3:]])
            for one, answer in zip(apart, [*first(), *second()], strict=True):
                assert np.abs(rgb(answer).astype(int) - paint(backend, one, index)).max() <= 1
    finally:
        backend.close()


def test_a_still_camera_costs_nothing(backend: Diffusion, monkeypatch: pytest.MonkeyPatch) -> None:
    session = backend.new_state(small(similarity_threshold=0.97))
    first = paint(backend, session)
    noise = np.random.default_rng(0).integers(-2, 3, frame().rgb().shape)
    noisy = Frame.from_rgb(np.clip(frame().rgb() + noise, 0, 255).astype(np.uint8))
    with monkeypatch.context() as patch:
        patch.setattr(HostTransfer, "upload", lambda *_: [])  # nothing is even uploaded
        for still in (frame(), noisy):
            (answer,) = backend.step([(session, still)])
            assert np.array_equal(rgb(answer), first)
    moved = frame().rgb().copy()
    moved[:8, :8] = 255 - moved[:8, :8]
    (answer,) = backend.step([(session, Frame.from_rgb(moved))])
    assert not np.array_equal(rgb(answer), first)


@pytest.mark.parametrize(
    "values",
    [{"prompt": "neon"}, {"seed": 9}, {"denoising_strength": 0.3}, {"steps": 4}, {"width": 128}, {"fit": "stretch"}],
    ids=str,
)
def test_a_still_camera_obeys_every_change_at_once(backend: Diffusion, values: dict[str, object]) -> None:
    wide = frame(0, 128, 64)

    def painted_wide(session: Session) -> Pixels:
        (answer,) = backend.step([(session, wide)])
        return rgb(answer)

    session = backend.new_state(small(similarity_threshold=0.9))
    painted_wide(session), painted_wide(session)
    change(backend, session, **values)
    target = backend.new_state(small().model_copy(update=values))
    for _ in range(5):
        now, expected = painted_wide(session), painted_wide(target)
    assert np.array_equal(now, expected)


def test_a_glide_is_not_stopped_by_a_still_camera(backend: Diffusion) -> None:
    session = backend.new_state(small(prompt="a cat", glide_frames=4, similarity_threshold=0.9))
    before = paint(backend, session)
    change(backend, session, prompt="neon")
    pictures = [before, *(paint(backend, session) for _ in range(4))]
    assert all(not np.array_equal(one, other) for one, other in pairwise(pictures))
    assert np.array_equal(pictures[-1], fresh(backend, prompt="neon"))


def test_a_frame_that_failed_is_not_what_the_next_is_compared_with(backend: Diffusion) -> None:
    session = backend.new_state(small(similarity_threshold=0.9))
    old = paint(backend, session, 0)
    with spoilt(backend._model.pipe.vae.decoder, nan):
        (failed,) = backend.step([(session, frame(1))])
    assert isinstance(failed, BadFrame)
    assert not np.array_equal(paint(backend, session, 1), old)


def test_answers_have_the_format_of_their_frame(backend: Diffusion) -> None:
    sessions = [backend.new_state(small()) for _ in range(3)]
    formats = [PixelFormat.I420, PixelFormat.RGB24, PixelFormat.I420]
    answers = backend.step([(one, frame().convert(wanted)) for one, wanted in zip(sessions, formats, strict=True)])
    assert [answer.format for answer in answers if isinstance(answer, Frame)] == formats


def test_notes_say_what_has_no_effect(backend: Diffusion) -> None:
    def notes(**values: object) -> list[str]:
        return backend.notes(backend.new_state(small(**values)))

    assert notes() == []
    for cfg_type in ("none", "self"):
        assert notes(negative_prompt="dog", cfg_type=cfg_type) == [
            f"the negative prompt has no effect with guidance method {cfg_type}"
        ]
    assert notes(negative_prompt="dog", cfg_type="full") == notes(guidance=2.0, cfg_type="self") == []
    assert notes(guidance=2.0) == ["guidance has no effect with guidance method none"]
    (cut,) = notes(prompt="x" * 100)
    assert "77 tokens" in cut
    assert notes(delta=0.5) == ["delta has no effect with guidance method none"]
    assert notes(delta=0.5, cfg_type="self") == []


def test_the_registry_makes_it_with_the_operator_s_model(tiny_sd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.registry import make

    monkeypatch.setenv("LIVE_DIFFUSION_MODEL", str(tiny_sd))
    backend = make("diffusion")
    backend.load(lambda progress: None)
    try:
        default = Settings(pipeline="diffusion").model_copy(update={"width": SIDE, "height": SIDE})
        (answer,) = backend.step([(backend.new_state(default), frame())])  # as the worker proves itself
        assert not np.array_equal(rgb(answer), frame().rgb())
    finally:
        backend.close()
        torch.set_num_threads(1)
