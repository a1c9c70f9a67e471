"""The small decisions: whose turn, how long a load still takes, percentiles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from pipeline.policy.estimate import Estimate
from pipeline.policy.scheduler import next_batch
from pipeline.policy.timing import Timings


def painters(**kinds: int) -> Callable[[str], tuple[str, int]]:
    """Names begin with what paints them; `kinds` are how many each paints at a time."""
    return lambda name: (name[0], kinds[name[0]])


def test_every_session_gets_its_turn_before_any_gets_its_second() -> None:
    served = {"greedy": 0, "ga": 0, "gb": 0}
    order = []
    for turn in range(1, 10):
        (name,) = next_batch(served, painters(g=1))  # all of them always have a frame waiting
        served[name] = turn
        order.append(name)
    assert all(set(order[index : index + 3]) == set(served) for index in (0, 3, 6))
    assert next_batch({}, painters()) == []
    assert next_batch({"alone": 7}, painters(a=1)) == ["alone"]


def test_a_batch_is_of_one_painter_led_by_whoever_waited_longest() -> None:
    waiting = {"a1": 5, "b1": 3, "a2": 4, "b2": 9, "a3": 6}
    assert next_batch(waiting, painters(a=16, b=16)) == ["b1", "b2"]
    assert next_batch(waiting | {"b1": 8}, painters(a=16, b=16)) == ["a2", "a1", "a3"]
    assert next_batch(waiting | {"b1": 8}, painters(a=2, b=16)) == ["a2", "a1"]


def serve(sessions: Sequence[str], painter: Callable[[str], tuple[str, int]], rounds: int) -> list[list[str]]:
    """The batches while all sessions always have a frame waiting."""
    served, batches, turn = dict.fromkeys(sessions, 0), [], 0
    for _ in range(rounds):
        batches.append(next_batch(served, painter))
        for name in batches[-1]:
            turn += 1
            served[name] = turn
    return batches


def test_nobody_waits_for_more_batches_than_there_are_sessions() -> None:
    sessions = ["a0", "a1", "a2", "a3", "a4", "b0", "b1"]
    batches = serve(sessions, painters(a=2, b=1), 40)
    for start in range(len(batches) - len(sessions)):
        assert {name for batch in batches[start : start + len(sessions)] for name in batch} == set(sessions)


def test_those_of_one_painter_are_served_equally_often() -> None:
    batches = serve(["a0", "a1", "a2", "a3", "a4"], painters(a=3), 40)
    counts = Counter(name for batch in batches for name in batch)
    assert set(counts.values()) == {24}


def lefts(*seen: tuple[float, float], total: float = 100.0) -> list[float | None]:
    """What is estimated after each (now, done)."""
    estimate = Estimate()
    return [estimate.left(now, done, total) for now, done in seen]


def test_time_left_follows_the_rate_of_the_last_seconds() -> None:
    assert lefts((0, 0), (0.5, 10), (1, 20), (2, 40)) == [None, None, 4, 3]
    steady = [(float(now), float(now)) for now in range(31)]
    slower = [(30.0 + now, 30 + now / 2) for now in range(1, 31)]
    estimates = lefts(*steady, *slower)
    assert estimates[30] == pytest.approx(70)
    assert estimates[60] == pytest.approx(55 * 2)
    assert lefts((0, 50), (2, 100), (3, 100)) == [None, 0, 0]


def test_a_short_stall_makes_it_longer_and_a_long_one_ends_it() -> None:
    before, during, long_after, again = lefts((0, 0), (2, 20), (6, 20), (20, 20), (21, 30))[1:]
    assert (before, during, long_after) == (8, 24, None)
    assert again is not None
    assert 70 < again < 150


def test_what_cannot_be_told_is_not_told() -> None:
    assert lefts((0, 0), (5, 50), total=0) == [None, None]
    assert lefts((0, 90), (5, 10), (7, 30)) == [None, None, 7]  # it began anew
    assert lefts((5, 10), (5, 20)) == [None, None]
    estimate = Estimate()
    for packet in range(100_000):
        estimate.left(packet / 1000, packet, 100_000)
    assert len(estimate._kept) < 100


def test_percentiles_are_of_the_last_measurements() -> None:
    timings = Timings(window=10)
    assert timings.percentile(50) is None
    for value in [1000.0] * 5 + [float(value) for value in range(10)]:
        timings.add(value)
    assert (timings.percentile(50), timings.percentile(95), timings.percentile(100)) == (5, 9, 9)
