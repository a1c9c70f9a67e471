"""Prompts to embeddings: away from the painting thread, cached, blended; what fails changes nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import torch

from pipeline.backends.diffusion import prompts as module
from pipeline.backends.diffusion.device import Cpu
from pipeline.backends.diffusion.loader import Model
from pipeline.backends.diffusion.prompts import Prompts, Wish, blend
from pipeline.backends.diffusion.travel import Travel, slerp
from tests.pipeline.diffusion.harness import small
from tests.pipeline.diffusion.tiny_model import AtOnce

PATIENCE = 20.0  # seconds for an encoding that takes milliseconds


class Encoder:
    """A text encoder that can be held up and can fail, and notes where it runs."""

    def __init__(self, model: Model) -> None:
        self._encoder = model.pipe.text_encoder
        self.calls = 0
        self.threads: set[str] = set()
        self.go = threading.Event()
        self.go.set()
        self.failing = False

    def __call__(self, ids: Any) -> Any:  # noqa: ANN401
        self.go.wait(PATIENCE)
        self.calls += 1
        self.threads.add(threading.current_thread().name)
        if self.failing:
            raise RuntimeError("no memory")
        return self._encoder(ids)


@pytest.fixture
def encoder(model: Model) -> Encoder:
    return Encoder(model)


@pytest.fixture
def prompts(model: Model, encoder: Encoder) -> Iterator[Prompts]:
    """With a thread of their own."""
    prompts = Prompts(model.pipe.tokenizer, encoder, Cpu())
    yield prompts
    encoder.go.set()
    prompts.close()


def test_as_the_pipeline_encodes(model: Model, prompts: Prompts) -> None:
    for text in ("", "a cat", "Ünïcode 🌊", "long " * 100):
        expected = model.pipe.encode_prompt(text, model.pipe.device, 1, False)[0]
        assert torch.equal(prompts.encode(text), expected)
        assert expected.shape == (1, 77, 16)


def test_encoding_happens_in_a_thread_of_its_own(prompts: Prompts, encoder: Encoder) -> None:
    encoder.threads.clear()
    encoder.go.clear()
    wish = Wish(prompts, small(prompt="slow to come"))
    assert wish.poll() is None  # at once, though the encoder is held up
    encoder.go.set()
    prompts.wanted(small(prompt="slow to come")).result(PATIENCE)
    assert encoder.threads == {"prompts_0"}
    assert wish.poll() is not None
    assert wish.poll() is None  # once


def test_only_the_newest_wish_is_encoded(prompts: Prompts, encoder: Encoder) -> None:
    encoder.go.clear()
    wish = Wish(prompts, small(prompt="first"))
    before = encoder.calls
    for index in range(20):
        wish.change(small(prompt=f"typing {index}"))
    wish.change(small(prompt="last"))
    encoder.go.set()
    prompts.wanted(small(prompt="last")).result(PATIENCE)
    conditioning = wish.poll()
    assert conditioning is not None
    assert torch.equal(conditioning.positive, prompts.encode("last"))
    assert encoder.calls - before <= 2


def test_cached_by_text_and_the_one_longest_unused_goes(
    prompts: Prompts, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CACHED_PROMPTS", 3)
    for text in ("a", "b"):
        prompts.encode(text)  # beside the empty one
    prompts.encode("")
    before = encoder.calls
    assert prompts.wanted(small(prompt="b")).done()
    prompts.encode("c")  # in place of "a"
    prompts.encode("b")
    assert encoder.calls == before + 1
    prompts.encode("a")
    assert encoder.calls == before + 2


@pytest.mark.logs_errors("a prompt could not be encoded")
def test_a_failure_keeps_what_is_in_force_and_is_tried_again(model: Model, encoder: Encoder) -> None:
    prompts = Prompts(model.pipe.tokenizer, encoder, Cpu(), AtOnce())
    wish = Wish(prompts, small(prompt="good"))
    assert wish.poll() is not None
    encoder.failing = True
    wish.change(small(prompt="bad"))
    assert wish.poll() is None
    assert wish.failed
    encoder.failing = False
    wish.change(small(prompt="bad"))
    assert wish.poll() is not None
    assert not wish.failed


def test_a_cut_is_noticed_at_the_very_token(prompts: Prompts) -> None:
    assert not prompts.is_cut("x" * 75)  # a byte is a token here, and there are two at the ends
    assert prompts.is_cut("x" * 76)
    assert not prompts.is_cut("")


def test_blend_is_the_weighted_mean(model: Model) -> None:
    prompts = Prompts(model.pipe.tokenizer, model.pipe.text_encoder, Cpu(), AtOnce())
    one, other = prompts.encode("a"), prompts.encode("b")
    assert torch.equal(blend([one], [0.3]), one)
    assert torch.allclose(blend([one, other], [3, 1]), 0.75 * one + 0.25 * other)
    assert torch.allclose(blend([one, other], [0, 2]), other)
    texts = [{"text": text, "weight": weight} for text, weight in (("a", 1.0), ("b", 3.0), ("c", 0.0), ("a", 4.0))]
    conditioning = prompts.wanted(small(prompts=texts, negative_prompt="b")).result()
    assert torch.allclose(conditioning.positive, (5 * one + 3 * other) / 8)
    assert torch.equal(conditioning.negative, other)


def test_slerp_keeps_to_the_arc() -> None:
    east, north = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    half = slerp(east, north, 0.5)
    assert torch.allclose(half, torch.full((1, 2), 2**0.5))
    assert torch.allclose(slerp(east, north, 0.0), east)
    assert torch.allclose(slerp(east, north, 1.0), north)
    assert torch.allclose(slerp(east, 3 * east, 0.5), 2 * east)  # no angle: a straight line
    assert slerp(east, -east, 0.5).isfinite().all()
    assert slerp(torch.zeros(1, 2), north, 0.5).isfinite().all()


def test_travel_comes_nearer_with_each_frame_and_arrives() -> None:
    start, target = (torch.randn((1, 77, 16), generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
    travel = Travel(start)
    assert not travel.advance()
    travel.turn_to(target, 6)
    distances = [float((start - target).norm())]
    while travel.moving:
        assert travel.advance()
        distances.append(float((travel.now - target).norm()))
    assert len(distances) == 7
    assert all(later < earlier for earlier, later in pairwise(distances))
    assert torch.equal(travel.now, target)
    travel.turn_to(start, 4)
    travel.advance()
    midway = travel.now
    travel.turn_to(target, 0)
    assert torch.equal(travel.now, target)
    assert not torch.equal(midway, target)
    assert not travel.advance()
