"""One stream: the same as the package's where that works, mended where it does not, and every live setting."""

from __future__ import annotations

import inspect

import pytest
import torch
from streamdiffusion import StreamDiffusion
from torch import Tensor

from pipeline.backends.diffusion.live import LiveStream
from pipeline.backends.diffusion.loader import Model
from pipeline.backends.diffusion.timesteps import t_indices
from tests.pipeline.diffusion.harness import SIDE, conditioning, painted, picture, stream

CFG_TYPES = ["none", "self", "full", "initialize"]


def original(model: Model, steps: int, cfg_type: str, guidance: float = 1.5, seed: int = 2) -> StreamDiffusion:
    """The package's own stream, its prompts overwritten with those of `harness.stream`."""
    one = StreamDiffusion(model.pipe, list(t_indices(0.6, steps)), torch.float32, SIDE, SIDE, cfg_type=cfg_type)
    one.prepare("", "", 50, guidance, generator=torch.Generator(), seed=seed)
    positive, negative = (part.repeat(steps, 1, 1) for part in conditioning(1))
    one.prompt_embeds = {
        "full": torch.cat([negative, positive]),
        "initialize": torch.cat([negative[:1], positive]),
    }.get(cfg_type, positive)
    return one


def original_step(one: StreamDiffusion, seed: int) -> Tensor:
    """What the package's `__call__` does between its CUDA events."""
    with torch.no_grad():
        output: Tensor = one.decode_image(one.predict_x0_batch(one.encode_image(picture(seed))))
    return output


@pytest.mark.parametrize("cfg_type", CFG_TYPES)
@pytest.mark.parametrize("steps", [1, 2, 4])
def test_a_step_is_the_package_s_bit_for_bit(model: Model, steps: int, cfg_type: str) -> None:
    theirs, ours = original(model, steps, cfg_type), stream(model, steps, cfg_type)
    for seed in range(steps + 2):
        assert torch.equal(painted(model, ours, seed), original_step(theirs, seed))


@pytest.mark.parametrize("cfg_type", CFG_TYPES)
def test_same_seed_same_pictures(model: Model, cfg_type: str) -> None:
    one, same, other = (stream(model, 2, cfg_type, seed=seed) for seed in (5, 5, 6))
    for index in range(4):
        expected = painted(model, one, index)
        assert torch.equal(painted(model, same, index), expected)
        assert torch.equal(painted(model, other, index), expected) is (index == 0)  # empty latents have no seed


@pytest.mark.parametrize("cfg_type", CFG_TYPES)
@pytest.mark.parametrize("steps", [1, 4])
def test_strength_as_in_a_fresh_stream(model: Model, steps: int, cfg_type: str) -> None:
    ours, fresh = stream(model, steps, cfg_type), stream(model, steps, cfg_type, strength=0.25)
    ours.set_timesteps(t_indices(0.25, steps))
    assert ours.t_list == fresh.t_list
    for name in ("sub_timesteps_tensor", "alpha_prod_t_sqrt", "beta_prod_t_sqrt", "c_skip", "c_out"):
        assert torch.equal(getattr(ours, name), getattr(fresh, name)), name
        assert getattr(ours, name).dtype == getattr(fresh, name).dtype
    assert torch.equal(painted(model, ours, 0), painted(model, fresh, 0))


def test_other_count_of_steps_is_refused(model: Model) -> None:
    with pytest.raises(ValueError, match="a stream of 2 steps cannot take 3"):
        stream(model, 2).set_timesteps(t_indices(0.5, 3))


@pytest.mark.parametrize("cfg_type", CFG_TYPES)
def test_prompt_with_the_next_output(model: Model, cfg_type: str) -> None:
    ours, fresh = stream(model, 1, cfg_type), stream(model, 1, cfg_type, prompt=9)
    ours.set_conditioning(conditioning(9))
    assert torch.equal(painted(model, ours, 0), painted(model, fresh, 0))
    long, unchanged = stream(model, 4, cfg_type), stream(model, 4, cfg_type)
    for seed in range(4):
        assert torch.equal(painted(model, long, seed), painted(model, unchanged, seed))
    long.set_conditioning(conditioning(9))
    assert not torch.equal(painted(model, long, 4), painted(model, unchanged, 4))


@pytest.mark.parametrize("cfg_type", CFG_TYPES)
def test_guidance_as_in_a_fresh_stream(model: Model, cfg_type: str) -> None:
    ours, fresh = stream(model, 1, cfg_type), stream(model, 1, cfg_type, guidance=4)
    before = stream(model, 1, cfg_type)
    ours.set_guidance(4, 1.0)
    expected = painted(model, fresh, 0)
    assert torch.equal(painted(model, ours, 0), expected)
    assert torch.equal(painted(model, before, 0), expected) is (cfg_type == "none")


@pytest.mark.parametrize("cfg_type", CFG_TYPES)
def test_delta_as_in_a_fresh_stream(model: Model, cfg_type: str) -> None:
    ours, before = stream(model, 2, cfg_type), stream(model, 2, cfg_type)
    fresh = LiveStream(model.pipe, t_indices(0.6, 2), (SIDE, SIDE), cfg_type, conditioning(1), 1.5, 2, delta=0.2)
    ours.set_guidance(1.5, 0.2)
    for index in range(3):
        expected = painted(model, fresh, index)
        assert torch.equal(painted(model, ours, index), expected)
        unchanged = torch.equal(painted(model, before, index), expected)
    assert unchanged is (cfg_type in ("none", "full"))


@pytest.mark.parametrize("cfg_type", ["none", "full"])
def test_seed_as_in_a_fresh_stream_once_the_old_noise_is_out(model: Model, cfg_type: str) -> None:
    ours, fresh = stream(model, 2, cfg_type), stream(model, 2, cfg_type, seed=77)
    for index in range(3):
        painted(model, ours, index)
    ours.set_seed(77, 0)
    same = [torch.equal(painted(model, ours, index), painted(model, fresh, index)) for index in range(3)]
    assert same == [False, True, True]


def test_a_seed_glides_to_exactly_its_noise(model: Model) -> None:
    ours, target = stream(model, seed=1), stream(model, seed=77).init_noise
    ours.set_seed(77, 5)
    distances = []
    for _ in range(6):
        ours.advance()
        distances.append(float((ours.init_noise - target).norm()))
        assert 0.9 < float(ours.init_noise.std()) < 1.1  # a straight line would come down to 0.7
    assert distances == sorted(distances, reverse=True)
    assert len(set(distances[:5])) == 5
    assert distances[3] > 0
    assert distances[4] == distances[5] == 0


def test_restart_is_a_fresh_stream(model: Model) -> None:
    ours, fresh = stream(model, 4, "self"), stream(model, 4, "self")
    for index in range(5):
        painted(model, ours, index)
    ours.restart()
    assert not ours.warm
    for index in range(5):
        assert torch.equal(painted(model, ours, index), painted(model, fresh, index))


def test_warm_after_all_but_one_of_its_steps(model: Model) -> None:
    for steps in (1, 2, 4):
        ours, warm = stream(model, steps), []
        for index in range(4):
            warm.append(ours.warm)
            painted(model, ours, index)
        assert warm == [index >= steps - 1 for index in range(4)]


class TestBugsOfThePackage:
    """Each shows the bug in the package first: once that is mended, the way around it can go."""

    @pytest.mark.parametrize("cfg_type", ["full", "initialize"])
    def test_update_prompt_loses_the_negative_rows(self, model: Model, cfg_type: str) -> None:
        theirs = original(model, 2, cfg_type)
        theirs.update_prompt("a cat")
        with pytest.raises(RuntimeError, match=r"size of tensor|shape|[Ss]izes"):
            original_step(theirs, 0)
        ours = stream(model, 2, cfg_type)
        ours.set_conditioning(conditioning(9))
        assert painted(model, ours, 0).isfinite().all()

    @pytest.mark.parametrize("cfg_type", ["full", "initialize"])
    @pytest.mark.parametrize("guidance", [1.0, 0.0])
    def test_no_guidance_crashes(self, model: Model, cfg_type: str, guidance: float) -> None:
        with pytest.raises(AttributeError):
            original(model, 2, cfg_type, guidance=guidance)
        ours, neutral = stream(model, 2, cfg_type, guidance=guidance), stream(model, 2, "none")
        for index in range(3):
            difference = painted(model, ours, index) - painted(model, neutral, index)
            assert difference.abs().max() < 1e-3
        ours.set_guidance(guidance, 1.0)
        assert painted(model, ours, 0).isfinite().all()

    def test_one_generator_for_all(self, model: Model) -> None:
        assert isinstance(inspect.signature(StreamDiffusion.prepare).parameters["generator"].default, torch.Generator)
        one, other = stream(model, seed=1), stream(model, seed=2)
        assert one.generator is not other.generator
        assert one.generator.initial_seed() == 1

    def test_a_full_vae_flickers(self, full_model: Model) -> None:
        theirs = original(full_model, 1, "none")
        assert not torch.equal(original_step(theirs, 0), original_step(theirs, 0))
        ours = stream(full_model, 1, "none")
        assert torch.equal(painted(full_model, ours, 0), painted(full_model, ours, 0))

    def test_a_step_needs_a_gpu(self, model: Model) -> None:
        if torch.cuda.is_available():
            pytest.skip("there is a GPU")
        with pytest.raises(RuntimeError, match="dummy base class Event"):
            original(model, 1, "none")(picture(0))


def test_the_stream_keeps_no_weights_of_its_own(model: Model) -> None:
    one, other = stream(model), stream(model)
    assert isinstance(one, LiveStream)
    assert one.vae is other.vae is model.pipe.vae
