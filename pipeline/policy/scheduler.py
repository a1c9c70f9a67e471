"""Whose frames are painted next, when several sessions have one waiting. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)


def next_batch(waiting: Mapping[Key, int], painter: Callable[[Key], tuple[object, int]]) -> list[Key]:
    """The session with a frame that was served longest ago, and those that are painted together with it.

    `waiting` maps each session that has a frame to a number that rises with each serving (0: never served). `painter`
    names what paints a session and how many at a time it paints. Every session leads or joins a batch within as many
    turns as there are sessions, however fast one of them sends; a place that is left in a batch goes to one of the
    same painter that was served later, since it costs the others little.
    """
    if not waiting:
        return []
    in_turn = sorted(waiting, key=lambda key: waiting[key])
    same, limit = painter(in_turn[0])
    return [key for key in in_turn if painter(key)[0] == same][:limit]
