"""Many streams in one pass: the same pictures as apart, far fewer calls, and no harm from one to another."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from pipeline.backends.diffusion import batch
from pipeline.backends.diffusion.batch import Pass, bucket, run
from pipeline.backends.diffusion.live import Conditioning, LiveStream
from pipeline.backends.diffusion.loader import Model
from tests.pipeline.diffusion.harness import Counting, conditioning, painted, picture, stream

FRAMES = 6
CLOSE = 1e-5


def three(model: Model) -> list[LiveStream]:
    """As different as sessions can be."""
    return [
        stream(model, 4, "full", prompt=1, guidance=3.0, seed=1),
        stream(model, 2, "self", prompt=2, guidance=1.4, seed=2, strength=0.9),
        stream(model, 1, "none", prompt=3, seed=3, strength=0.3),
    ]


def together(model: Model | Counting, streams: list[LiveStream], index: int) -> list[batch.Outcome]:
    passes = [Pass(one, picture(10 * number + index, one.size[0])) for number, one in enumerate(streams)]
    return run(model, passes)


def apart(model: Model | Counting, streams: list[LiveStream], index: int) -> list[Tensor]:
    return [painted(model, one, 10 * number + index) for number, one in enumerate(streams)]


def assert_same(outcome: batch.Outcome, expected: Tensor) -> None:
    assert isinstance(outcome, Tensor), repr(outcome)
    assert (outcome - expected).abs().max() < CLOSE


def test_together_as_apart_with_a_third_of_the_calls(model: Model) -> None:
    batched, separate = Counting(model), Counting(model)
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
    counting = Counting(model)
    streams = [stream(model, side=64), stream(model, side=128), stream(model, side=64, prompt=4)]
    outcomes = together(counting, streams, 0)
    assert sorted(counting.rows) == [1, 2]
    for outcome, expected in zip(outcomes, apart(model, streams, 0), strict=True):
        assert isinstance(outcome, Tensor)
        assert outcome.shape == expected.shape
        assert_same(outcome, expected)


def test_what_is_not_shown_is_not_decoded_and_still_warms_up(model: Model) -> None:
    counting, hidden, seen = Counting(model), stream(model, 2), stream(model, 2)
    assert run(counting, [Pass(hidden, picture(0), shown=False)]) == [None]
    assert counting.decoded == 0
    painted(model, seen, 0)
    assert hidden.warm
    assert torch.equal(painted(model, hidden, 1), painted(model, seen, 1))
    outcomes = run(model, [Pass(hidden, picture(2), shown=False), Pass(seen, picture(2))])
    assert outcomes[0] is None
    assert isinstance(outcomes[1], Tensor)


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
def test_a_spoilt_stream_fails_alone(model: Model, spoil: Callable[[LiveStream], None], place: int) -> None:
    streams, healthy = three(model), three(model)
    for index in range(FRAMES):
        if index == 3:
            spoil(streams[place])
        expected = apart(model, healthy, index)
        for number, outcome in enumerate(together(model, streams, index)):
            if index >= 3 and number == place:
                assert isinstance(outcome, Exception)
            else:
                assert_same(outcome, expected[number])


def test_a_stream_recovers_from_values_that_are_no_numbers(model: Model) -> None:
    one, fresh = stream(model, 4, "self"), stream(model, 4, "self")
    nan_embeds(one)
    assert isinstance(run(model, [Pass(one, picture(0))])[0], ArithmeticError)
    one.set_conditioning(conditioning(1))
    for index in range(5):
        assert torch.equal(painted(model, one, index), painted(model, fresh, index))


def test_a_batch_too_large_is_painted_one_by_one_and_no_stream_moves_twice(model: Model) -> None:
    counting = Counting(model, fail_above=8)
    one, other = three(model), three(model)
    for index in range(FRAMES):
        for outcome, expected in zip(together(counting, one, index), apart(model, other, index), strict=True):
            assert_same(outcome, expected)
    assert counting.rows == [11, 8, 2, 1] * FRAMES


def test_nothing_to_do(model: Model) -> None:
    assert run(model, []) == []


def test_buckets() -> None:
    assert [bucket(count) for count in (1, 3, 5, 8, 9, 13, 17, 24, 25)] == [1, 4, 8, 8, 12, 16, 24, 24, 32]


def test_padding_changes_no_picture(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = three(model), three(model)
    counting = Counting(model)
    filled = batch._filled
    monkeypatch.setattr(batch, "_filled", lambda rows, _: filled(rows, torch.device("cuda")))
    outcomes = together(counting, one, 0)
    monkeypatch.undo()
    assert counting.rows == [12]
    for outcome, expected in zip(outcomes, apart(model, other, 0), strict=True):
        assert_same(outcome, expected)
