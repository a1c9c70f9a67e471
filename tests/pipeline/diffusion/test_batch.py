"""Many streams in one pass: the same pictures as apart, far fewer calls, and no harm from one to another."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from pipeline.backends.diffusion.batch import Batches, Outcome, Painted, Pass
from pipeline.backends.diffusion.live import Conditioning, LiveStream
from pipeline.backends.diffusion.loader import Model
from pipeline.errors import DeviceLost
from tests.pipeline.diffusion.harness import Counting, conditioning, counting, networks, painted, picture, run, stream

FRAMES = 6
CLOSE = 1e-5


def three(model: Model) -> list[LiveStream]:
    """As different as sessions can be."""
    return [
        stream(model, 4, "full", prompt=1, guidance=3.0, seed=1),
        stream(model, 2, "self", prompt=2, guidance=1.4, seed=2, strength=0.9),
        stream(model, 1, "none", prompt=3, seed=3, strength=0.3),
    ]


def together(model: Model | Counting, streams: list[LiveStream], index: int) -> list[Outcome]:
    passes = [Pass(one, picture(10 * number + index, one.size[0])) for number, one in enumerate(streams)]
    return run(model, passes)


def apart(model: Model | Counting, streams: list[LiveStream], index: int) -> list[Tensor]:
    return [painted(model, one, 10 * number + index) for number, one in enumerate(streams)]


def assert_same(outcome: Outcome, expected: Tensor) -> None:
    assert isinstance(outcome, Painted), repr(outcome)
    assert outcome.finite
    assert (outcome.picture - expected).abs().max() < CLOSE


def test_together_as_apart_with_a_third_of_the_calls(model: Model) -> None:
    batched, separate = counting(model), counting(model)
    one, other = three(model), three(model)
    for index in range(FRAMES):
        for outcome, expected in zip(together(batched, one, index), apart(separate, other, index), strict=True):
            assert_same(outcome, expected)
    assert batched.rows == [8 + 2 + 1] * FRAMES
    assert len(batched.rows) <= 0.4 * len(separate.rows)
    assert (batched.encoded, batched.decoded) == (FRAMES, FRAMES)


def test_pictures_follow_their_own_prompt_whoever_is_beside_them(model: Model) -> None:
    alone = painted(model, stream(model, prompt=1), 0)
    different = painted(model, stream(model, prompt=2), 0)
    assert (alone - different).abs().max() > 100 * CLOSE
    for order in ([1, 2], [2, 1]):
        streams = [stream(model, prompt=prompt) for prompt in order]
        outcomes = dict(zip(order, run(model, [Pass(one, picture(0)) for one in streams]), strict=True))
        assert_same(outcomes[1], alone)
        assert_same(outcomes[2], different)


def test_sizes_go_in_groups(model: Model) -> None:
    counted = counting(model)
    streams = [stream(model, side=64), stream(model, side=128), stream(model, side=64, prompt=4)]
    outcomes = together(counted, streams, 0)
    assert sorted(counted.rows) == [1, 2]
    for outcome, expected in zip(outcomes, apart(model, streams, 0), strict=True):
        assert isinstance(outcome, Painted)
        assert outcome.picture.shape == expected.shape
        assert_same(outcome, expected)


def test_what_is_not_shown_is_not_decoded_and_still_warms_up(model: Model) -> None:
    counted, hidden, seen = counting(model), stream(model, 2), stream(model, 2)
    assert run(counted, [Pass(hidden, picture(0), shown=False)]) == [None]
    assert counted.decoded == 0
    painted(model, seen, 0)
    assert hidden.warm
    assert torch.equal(painted(model, hidden, 1), painted(model, seen, 1))
    outcomes = run(model, [Pass(hidden, picture(2), shown=False), Pass(seen, picture(2))])
    assert outcomes[0] is None
    assert isinstance(outcomes[1], Painted)


def nan_embeds(one: LiveStream) -> None:
    one.set_conditioning(Conditioning(*(torch.full_like(part, torch.nan) for part in conditioning(1))))


def wrong_rows(one: LiveStream) -> None:
    one.prompt_embeds = one.prompt_embeds[:, :, :-1]


def raising(one: LiveStream) -> None:
    def finish(*_: object) -> Tensor:
        raise ZeroDivisionError("on command")

    setattr(one, "finish", finish)  # noqa: B010


@pytest.mark.parametrize("spoil", [nan_embeds, wrong_rows, raising])
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.logs_errors("painted one by one")
def test_a_spoilt_stream_fails_alone(model: Model, spoil: Callable[[LiveStream], None], place: int) -> None:
    streams, healthy = three(model), three(model)
    for index in range(FRAMES):
        if index == 3:
            spoil(streams[place])
        expected = apart(model, healthy, index)
        for number, outcome in enumerate(together(model, streams, index)):
            if index >= 3 and number == place:
                assert not outcome.finite if isinstance(outcome, Painted) else isinstance(outcome, Exception)
            else:
                assert_same(outcome, expected[number])


@pytest.mark.logs_errors("painted one by one")
def test_a_batch_too_large_is_painted_one_by_one_and_no_stream_moves_twice(model: Model) -> None:
    counted = counting(model, fail_above=8)
    counted.error = ValueError("on command")
    one, other = three(model), three(model)
    for index in range(FRAMES):
        for outcome, expected in zip(together(counted, one, index), apart(model, other, index), strict=True):
            assert_same(outcome, expected)
    assert counted.rows == [11, 8, 2, 1] * FRAMES


@pytest.mark.logs_errors("painted one by one")
def test_no_memory_for_a_batch_makes_smaller_ones_from_then_on(model: Model) -> None:
    counted = counting(model, fail_above=2)
    batches, streams = Batches(counted), [stream(model, prompt=prompt) for prompt in range(5)]
    fresh = [stream(model, prompt=prompt) for prompt in range(5)]
    for index in range(3):
        outcomes = batches.run([Pass(one, picture(index)) for one in streams])
        for outcome, one in zip(outcomes, fresh, strict=True):
            assert_same(outcome, painted(model, one, index))
    assert counted.rows == [5, 1, 1, 1, 1, 1] + [2, 2, 1] * 2


def test_a_single_frame_without_memory_is_tried_once_more(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = counting(model, fail_above=0)

    def free_cache() -> None:
        counted.fail_above = None

    one, other = stream(model), stream(model)
    [outcome] = run(counted, [Pass(one, picture(0))])
    assert isinstance(outcome, torch.OutOfMemoryError)
    assert counted.rows == [1, 1]
    monkeypatch.setattr(counted.device, "free_cache", free_cache)
    [outcome] = run(counted, [Pass(one, picture(0))])
    assert_same(outcome, painted(model, other, 0))


@pytest.mark.logs_errors("painted one by one")
def test_no_memory_for_a_single_frame_is_its_own_failure(model: Model) -> None:
    counted = counting(model, fail_above=1)
    batches = Batches(counted)
    large, small = stream(model, 4), stream(model)
    for _ in range(2):
        failed, fine = batches.run([Pass(large, picture(0)), Pass(small, picture(0))])
        assert isinstance(failed, torch.OutOfMemoryError)
        assert isinstance(fine, Painted)


def test_a_device_that_answers_nothing_more_is_lost(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = counting(model, fail_above=0)
    counted.error = RuntimeError("CUDA error: an illegal memory access was encountered")
    monkeypatch.setattr(counted.device, "is_alive", lambda: False)
    with pytest.raises(DeviceLost, match="cpu does not answer any more"):
        run(counted, [Pass(stream(model), picture(0)), Pass(stream(model), picture(1))])


def test_nothing_to_do(model: Model) -> None:
    assert run(model, []) == []


def test_recorded_as_computed_anew(model: Model) -> None:
    """Sessions come and go, so that calls have many shapes; what is kept of one call must outlive the next."""
    recorded, plain = Batches(networks(model, rehearses=True)), Batches(networks(model))
    one, other = ([*three(model), stream(model, 4, "initialize", side=128)] for _ in range(2))
    for stream_ in (*one, *other):
        stream_.set_steadiness(0.7)
    for index in range(24):
        present = [number for number in range(4) if (index >> number) & 1 or number == index % 4]
        ours, theirs = (
            batches.run([Pass(streams[number], picture(index // 3, streams[number].size[0])) for number in present])
            for batches, streams in ((recorded, one), (plain, other))
        )
        for outcome, expected in zip(ours, theirs, strict=True):
            assert isinstance(expected, Painted)
            assert_same(outcome, expected.picture)
