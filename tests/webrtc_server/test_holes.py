"""What to ask for again, and when to stop."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webrtc_server.media.holes import (
    ASK_MIN,
    ASK_NUMBERS,
    KEY_FRAME_SPACING,
    LIMIT_MAX,
    LIMIT_MIN,
    PAST,
    RTT_FIRST,
    RTT_MAX,
    Holes,
    KeyFrameWish,
)


def with_hole(numbers: list[int], now: float = 0.0) -> Holes:
    holes = Holes()
    for number in numbers:
        holes.received(number, now, False)
    return holes


def asked_until(holes: Holes, end: float) -> list[float]:
    """The times at which number 1 was asked for."""
    times, now = [], 0.0
    while now < end:
        plan = holes.plan(now)
        times += [now] if 1 in plan.ask else []
        if plan.wake is None:
            break
        assert plan.wake > now
        now = plan.wake
    return times


def test_a_hole_is_asked_for_at_once_and_then_ever_more_patiently_until_it_is_given_up() -> None:
    holes = with_hole([0, 2])
    times = asked_until(holes, 1)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert times[0] == 0
    assert gaps[0] == pytest.approx(1.25 * RTT_FIRST)
    assert gaps == sorted(gaps)
    assert len(times) == 3
    assert (holes.open, holes.lost) == (0, 1)


def test_given_up_after_the_limit_and_not_before() -> None:
    holes = with_hole([0, 2])
    holes.received(5, 0.1, False)
    assert holes.plan(LIMIT_MIN - 0.001).give_up is None
    assert holes.plan(LIMIT_MIN).give_up == 1
    plan = holes.plan(0.1 + LIMIT_MIN)
    assert (plan.give_up, plan.wake, plan.ask) == (4, None, ())


def test_on_a_short_path_there_are_more_askings() -> None:
    times = asked_until(with_rtt(0.001), 1)
    assert times[1] == pytest.approx(ASK_MIN)
    assert len(times) >= 4


def with_rtt(rtt: float) -> Holes:
    holes = Holes()
    holes._rtt = rtt
    holes.received(0, 0.0, False)
    holes.received(2, 0.0, False)
    return holes


@pytest.mark.parametrize(("rtt", "limit"), [(0.001, LIMIT_MIN), (0.05, 0.2), (0.1, 0.4), (0.4, LIMIT_MAX)])
def test_limit_follows_the_round_trip_between_its_bounds(rtt: float, limit: float) -> None:
    assert with_rtt(rtt).limit == pytest.approx(limit)


def test_an_answer_to_a_repetition_does_not_look_like_a_long_path() -> None:
    holes = with_rtt(0.001)
    holes.plan(0.0)
    holes.plan(0.02)
    assert holes.received(1, 0.021, True) == "recovered"
    assert holes.rtt == pytest.approx(0.001)
    holes = with_rtt(0.2)
    holes.plan(0.0)
    holes.plan(0.25)
    holes.received(1, 0.3, True)  # too soon for the second asking
    assert holes.rtt == pytest.approx(0.3)


def test_round_trip_rises_at_once_and_falls_slowly_and_is_learned_from_what_comes_too_late() -> None:
    holes = with_hole([0, 2, 4])
    holes.plan(0.0)
    assert holes.received(1, 0.15, True) == "recovered"
    assert holes.rtt == pytest.approx(0.15)
    assert holes.plan(0.5).give_up == 3
    assert holes.received(3, 5.0, True) == "late"
    assert holes.rtt == RTT_MAX
    holes.received(6, 6.0, False)
    holes.plan(6.0)
    holes.received(5, 6.1, True)
    assert holes.rtt == pytest.approx(0.45)


def test_each_packet_is_what_it_is() -> None:
    holes = with_hole([10, 13, 20])
    assert holes.received(12, 0.0, False) == "reordered"
    holes.plan(0.0)
    assert holes.received(11, 0.0, True) == "recovered"
    assert holes.received(14, 0.0, False) == "reordered"  # asked for, but it had only been overtaken
    assert holes.received(11, 0.0, True) == "duplicate"
    assert holes.received(5, 0.0, False) == "duplicate"
    assert holes.received(21, 0.0, False) == "new"
    assert holes.open == 5


def test_messages_and_memory_are_bounded() -> None:
    holes = with_hole([0, 900])
    first, second = holes.plan(0.0), holes.plan(0.0)
    assert len(first.ask) == len(second.ask) == ASK_NUMBERS
    assert max(first.ask) < min(second.ask)
    for _ in range(6):
        holes.plan(0.0)
    holes.forget(901)
    assert (holes.open, holes.lost, len(holes._past)) == (0, 899, PAST)


def test_numbers_may_begin_anew() -> None:
    holes = with_hole([0, 2])
    holes.restart()
    assert holes.received(-70000, 0.0, False) == "new"
    assert (holes.plan(1.0).ask, holes.lost) == ((), 1)


@given(st.lists(st.tuples(st.integers(0, 400), st.floats(0, 0.2), st.booleans()), max_size=60))
def test_no_hole_outlives_its_limit(steps: list[tuple[int, float, bool]]) -> None:
    holes, now = Holes(), 0.0
    for number, pause, again in steps:
        now += pause
        holes.received(number, now, again)
        plan = holes.plan(now)
        assert all(hole.opened + holes.limit > now for hole in holes._open.values())
        assert plan.wake is None or plan.wake <= now + LIMIT_MAX
        assert plan.ask == tuple(sorted(set(plan.ask)))


def test_key_frame_is_asked_for_at_once_and_then_spaced() -> None:
    wish = KeyFrameWish()
    assert not wish.due(False, 5.0, 0.01)
    assert wish.due(True, 5.0, 0.01)
    assert not wish.due(True, 5.0 + KEY_FRAME_SPACING - 0.01, 0.01)
    assert wish.due(True, 5.0 + KEY_FRAME_SPACING, 0.4)
    assert wish.wake == pytest.approx(5.0 + KEY_FRAME_SPACING + 0.8)
