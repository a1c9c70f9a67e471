"""From a strength and a number of steps to places in the noise schedule. Pure.

The schedule is LCM's with 50 entries: entry i is timestep 999 - 20 i. Another length is legal, but shifts the
meaning of every index.
"""

from __future__ import annotations

SCHEDULE_STEPS = 50
LAST = SCHEDULE_STEPS - 1  # index of the entry with the least noise


def t_indices(strength: float, steps: int) -> tuple[int, ...]:
    """`steps` strictly ascending indices into the schedule, the first as noisy as `strength` (0..1) asks for.

    The rest is spread evenly from the first towards the end. Near strength 0 there is no room to spread: the indices
    are then the last of the schedule. Raises ValueError for what is out of range.
    """
    if not 0 <= strength <= 1 or not 1 <= steps <= SCHEDULE_STEPS:
        raise ValueError(f"strength 0 to 1 and 1 to {SCHEDULE_STEPS} steps, got {strength} and {steps}")
    first = min(round((1 - strength) * LAST), SCHEDULE_STEPS - steps)
    span = max(LAST - first, steps)
    return tuple(first + index * span // steps for index in range(steps))
