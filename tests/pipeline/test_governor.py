"""The size of the network on machines that are slow, fast, busy now and then, or shared: simulated on a clock."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise

import pytest

from pipeline.policy.governor import SIZES, Governor

FRAME_INTERVAL = 1 / 30  # seconds between camera frames

# Milliseconds of whole steps, 512x512, one thread, measured on two cores of an EPYC with other work beside.
RECORDED = {
    256: [33, 34, 33, 33, 33, 34, 33, 34, 35, 34, 33, 35, 33, 34, 35, 35, 38, 34, 34, 38, 34, 35, 34, 34, 33, 34],
    320: [54, 54, 54, 54, 54, 55, 54, 57, 65, 64, 65, 63, 61, 58, 56, 55, 54, 55, 54, 55, 56, 56, 57, 56, 64, 57],
    384: [83, 80, 80, 82, 87, 81, 83, 86, 85, 81, 79, 79, 84, 88, 88, 79, 80, 79, 78, 79, 78, 79, 78, 78, 78, 78],
}
Cost = Callable[[int, float], float]  # size, now -> seconds of a step


def recorded(factor: float) -> Cost:
    """The recorded machine, `factor` times as slow."""
    turn = iter(range(10**9))
    return lambda size, now: RECORDED[size][next(turn) % len(RECORDED[size])] / 1000 * factor


def simulate(
    governor: Governor, cost: Cost, until: float, start: float = 0.0, streams: int = 1
) -> list[tuple[float, int]]:
    """Paint frame after frame from `start` to `until`; (when, size) of every change."""
    now, changes, turn = start, [], 0
    while now < until:
        size = governor.size
        seconds = cost(size, now)
        if governor.observe(now + seconds, seconds, stream=turn % streams) != size:
            changes.append((now + seconds, governor.size))
        now += max(seconds, FRAME_INTERVAL / streams)
        turn += 1
    return changes


def test_it_starts_small_and_stays_there_on_a_small_machine() -> None:
    governor = Governor()
    assert governor.size == SIZES[0]
    assert simulate(governor, recorded(1), until=600) == []


def test_a_fast_machine_climbs_step_by_step_and_stays() -> None:
    governor = Governor()
    changes = simulate(governor, recorded(1 / 3), until=600)
    assert [size for _, size in changes] == [320, 384]
    assert 4 < changes[0][0] < 8
    assert changes[1][0] < 15


def test_a_machine_that_gets_busy_descends_within_seconds_and_climbs_again_later() -> None:
    governor = Governor()
    simulate(governor, recorded(1 / 3), until=60)
    busy = simulate(governor, recorded(1.2), start=60, until=120)
    assert [size for _, size in busy] == [320, 256]
    assert busy[-1][0] < 65
    assert [size for _, size in simulate(governor, recorded(1 / 3), start=120, until=300)] == [320, 384]


def test_a_climb_that_fails_is_tried_ever_more_rarely() -> None:
    """The next size costs far more than its area says: the worst machine for a governor."""

    def cost(size: int, now: float) -> float:
        return {256: 0.024, 320: 0.060, 384: 0.100}[size]

    changes = simulate(Governor(), cost, until=3600)
    climbs = [when for when, size in changes if size == 320]
    waits = [after - before for before, after in pairwise(climbs)]
    assert len([when for when in climbs if when < 60]) <= 4
    assert waits[:4] == sorted(waits[:4])
    assert min(waits[5:]) > 100
    at_320 = sum(down - up for (up, _), (down, _) in zip(changes[::2], changes[1::2], strict=False))
    assert at_320 < 0.02 * 3600


@pytest.mark.parametrize("seed", [0, 3, 6, 7])
def test_noise_at_the_edge_does_not_make_it_swing(seed: int) -> None:
    chance = random.Random(seed)
    factor = chance.uniform(0.3, 1.2)

    def cost(size: int, now: float) -> float:
        return factor * 0.034 * float((size / 256) ** 2.1) * chance.lognormvariate(0, 0.25)

    changes = simulate(Governor(), cost, until=600)
    assert len([when for when, _ in changes if when > 200]) <= 2, (factor, changes)


def test_single_slow_steps_change_nothing() -> None:
    governor = Governor()
    simulate(governor, recorded(1 / 3), until=60)
    spiky = recorded(1 / 3)
    turn = iter(range(10**9))
    changes = simulate(governor, lambda size, now: 0.4 if next(turn) % 20 == 0 else spiky(size, now), 180, start=60)
    assert changes == []


def test_a_core_that_is_busy_now_and_then_has_no_room() -> None:
    turn = iter(range(10**9))
    changes = simulate(Governor(), lambda size, now: 0.048 if next(turn) % 5 == 0 else 0.020, until=120)
    assert changes == []


def test_streams_share_the_time() -> None:
    governor = Governor()
    simulate(governor, recorded(1 / 3), until=60)
    assert governor.size == 384
    simulate(governor, recorded(1 / 3), start=60, until=120, streams=4)
    assert governor.size == 256
    simulate(governor, recorded(1 / 3), start=120, until=300)
    assert governor.size == 384, "those that left do not count"


def test_a_pause_is_no_evidence() -> None:
    governor = Governor()
    simulate(governor, recorded(1 / 3), until=4)
    assert simulate(governor, recorded(1 / 3), start=500, until=504) == []


def test_governors_share_nothing() -> None:
    one, other = Governor(), Governor()
    changes = simulate(one, recorded(1 / 3), until=20)
    assert other.size == 256
    assert simulate(other, recorded(1 / 3), until=20) == changes


def test_one_size_only() -> None:
    governor = Governor((256,))
    assert simulate(governor, recorded(0.1), until=60) == []
    assert simulate(governor, recorded(9), start=60, until=120) == []
