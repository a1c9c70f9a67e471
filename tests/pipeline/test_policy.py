"""The small decisions: whose turn, how long to wait before a restart, percentiles."""

from __future__ import annotations

from pipeline.policy.restart import RestartPolicy
from pipeline.policy.scheduler import next_turn
from pipeline.policy.timing import Timings


def test_every_session_gets_its_turn_before_any_gets_its_second() -> None:
    served = {"greedy": 0, "a": 0, "b": 0}
    order = []
    for turn in range(1, 10):
        name = next_turn(served)  # all of them always have a frame waiting
        assert name
        served[name] = turn
        order.append(name)
    assert all(set(order[index : index + 3]) == set(served) for index in (0, 3, 6))
    assert next_turn({}) is None
    assert next_turn({"alone": 7}) == "alone"


def test_first_death_is_free_and_quick_ones_double_the_delay() -> None:
    policy = RestartPolicy()
    assert [policy.died(float(now)) for now in range(9)] == [0, 0.5, 1, 2, 4, 8, 16, 30, 30]


def test_long_service_is_remembered_and_short_service_is_not() -> None:
    policy = RestartPolicy()
    policy.ready(0)
    assert policy.died(29.9) == 0
    policy.ready(30)
    assert policy.died(59.9) == 0.5
    policy.ready(60)
    assert policy.died(90) == 0


def test_percentiles_are_of_the_last_measurements() -> None:
    timings = Timings(window=10)
    assert timings.percentile(50) is None
    for value in [1000.0] * 5 + [float(value) for value in range(10)]:
        timings.add(value)
    assert (timings.percentile(50), timings.percentile(95), timings.percentile(100)) == (5, 9, 9)
