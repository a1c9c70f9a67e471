"""Whose frame is painted next, when several sessions have one waiting. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)


def next_turn(waiting: Mapping[Key, int]) -> Key | None:
    """The session with a frame that was served longest ago.

    `waiting` maps each session that has a frame to the number of the turn it was last served in (0: never). Every
    session gets its turn before any gets its second, however fast one of them sends.
    """
    return min(waiting, key=lambda key: waiting[key], default=None)
