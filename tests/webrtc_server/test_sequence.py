"""Numbers that wrap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webrtc_server.media.sequence import SIZE, STAMPS, STEP_ASSUMED, Timeline, Unwrapper, distance, short

STARTS = (0, 1, 2, 127, 128, 255, 256, 32766, 32767, 32768, 32769, 65533, 65534, 65535)


@pytest.mark.parametrize("start", STARTS)
def test_numbers_rise_over_the_wrap_and_back(start: int) -> None:
    unwrapper = Unwrapper()
    seen = [unwrapper.unwrap((start + step) % SIZE) for step in (0, 1, 3, 2, 500, 4, 30000, 60000, 59000, 70000)]
    assert [number - start for number in seen] == [0, 1, 3, 2, 500, 4, 30000, 60000, 59000, 70000]


@pytest.mark.parametrize("start", STARTS)
def test_older_than_the_first_is_older(start: int) -> None:
    unwrapper = Unwrapper()
    unwrapper.unwrap(start)
    assert unwrapper.unwrap((start - 1) % SIZE) == start - 1
    assert unwrapper.ahead((start + 1) % SIZE) == 1
    assert Unwrapper().ahead(start) == 0


@given(st.integers(0, SIZE - 1), st.integers(-SIZE // 2, SIZE // 2 - 1))
def test_distance_is_the_short_way(number: int, steps: int) -> None:
    assert distance(short(number + steps), number) == steps


@pytest.mark.parametrize("start", [0, 5, STAMPS // 2, STAMPS - 3000, STAMPS - 1])
def test_timeline_starts_at_zero_and_crosses_the_wrap(start: int) -> None:
    timeline = Timeline()
    assert [timeline.map((start + step) % STAMPS) for step in (0, 3000, 6000, 96000)] == [0, 3000, 6000, 96000]


def test_timeline_takes_a_small_step_to_another_clock() -> None:
    timeline = Timeline()
    stamps = (10_000, 13_000, 4_000_000_000, 4_000_003_000, 5_000, 5_000)
    steps = (0, 3000, STEP_ASSUMED, 3000, STEP_ASSUMED, STEP_ASSUMED)
    expected = [sum(steps[: index + 1]) for index in range(len(steps))]
    assert [timeline.map(stamp) for stamp in stamps] == expected
