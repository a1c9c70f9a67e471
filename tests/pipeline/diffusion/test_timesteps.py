"""From strength and steps to places in the schedule."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.backends.diffusion.timesteps import LAST, SCHEDULE_STEPS, t_indices
from pipeline.settings import Settings


@pytest.mark.parametrize(
    ("strength", "steps", "indices"),
    [
        (0.35, 1, (32,)),
        (0.3, 1, (34,)),
        (1.0, 1, (0,)),
        (1.0, 4, (0, 12, 24, 36)),
        (0.35, 2, (32, 40)),
        (0.0, 1, (49,)),
        (0.0, 4, (46, 47, 48, 49)),
    ],
)
def test_known_places(strength: float, steps: int, indices: tuple[int, ...]) -> None:
    assert t_indices(strength, steps) == indices


@given(st.floats(0, 1), st.integers(1, SCHEDULE_STEPS))
def test_ascending_and_inside_the_schedule(strength: float, steps: int) -> None:
    indices = t_indices(strength, steps)
    assert len(indices) == steps
    assert all(one < next_one for one, next_one in pairwise(indices))
    assert indices[0] >= 0
    assert indices[-1] <= LAST


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 4))
def test_more_strength_never_means_less_noise(one: float, other: float, steps: int) -> None:
    weak, strong = sorted((one, other))
    assert t_indices(strong, steps) <= t_indices(weak, steps)


@pytest.mark.parametrize(("strength", "steps"), [(-0.1, 1), (1.1, 1), (0.5, 0), (0.5, 51)])
def test_out_of_range(strength: float, steps: int) -> None:
    with pytest.raises(ValueError, match="strength 0 to 1"):
        t_indices(strength, steps)


def test_the_stops_of_the_pages_slider_are_the_strengths_that_differ() -> None:
    stops = Settings.model_json_schema()["properties"]["denoising_strength"]["stops"]["diffusion"]
    assert stops == LAST
    for steps in (1, 4):
        firsts = [t_indices(stop / stops, steps)[0] for stop in range(steps - 1, stops + 1)]
        assert firsts == sorted(set(firsts), reverse=True)
        assert t_indices(0, steps)[0] == firsts[0]  # below the first stop nothing else happens
