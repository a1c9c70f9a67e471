"""What is promised, how much of it is tried, and what was found."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Verdict = Literal["pass", "miss", "not run"]


class Scale(enum.IntEnum):
    """How much is tried: with every change, before a merge, at night."""

    FAST = 0
    SHORT = 1
    LONG = 2


@dataclass(frozen=True)
class Row:
    promise: str  # P1 to P12, see docs/reliability.md
    target: str
    measured: str
    verdict: Verdict
    sound: bool  # what holds however busy the machine is
    figures: dict[str, object] = field(default_factory=dict)  # for machines


def row(
    promise: str, target: str, measured: str, facts: Sequence[bool], times: Sequence[bool] = (), **figures: object
) -> Row:
    """It passes if every part of it held; the `times` are those that another program's load may spoil."""
    return Row(promise, target, measured, "pass" if all([*facts, *times]) else "miss", all(facts), figures)


def not_run(promise: str, target: str, why: str) -> Row:
    return Row(promise, target, why, "not run", True)
