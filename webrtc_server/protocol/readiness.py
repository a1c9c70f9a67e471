"""Whether the server is alive, and whether it is ready for one more session, and if not why. Pure.

Alive means that the event loop turns; the graphics card is not asked, for a restart of the server mends no card. Ready
means that whoever comes now is taken and painted: a worker that answers its pings and paints nothing is not ready.
Where all places are taken but the line is not full a newcomer is taken, so the server is ready: behind a balancer the
opposite would show the users an error in the place of the line.
"""

from __future__ import annotations

from dataclasses import dataclass

from webrtc_server.limits import FRAME_OLD, LOOP_TICK_OLD
from webrtc_server.protocol.error_codes import Code


def alive(tick_age: float) -> bool:
    """`tick_age` is in seconds, of the event loop's last tick."""
    return tick_age < LOOP_TICK_OLD


@dataclass(frozen=True)
class Flow:
    """A session whose pictures come in and are to be painted; times of the monotonic clock."""

    since: float  # when they began to come
    answered: float | None  # when the worker last answered one


@dataclass(frozen=True)
class ServerFacts:
    draining: bool
    failure: str | None  # why nothing can be painted, and its code
    failure_code: Code
    phase: str  # of the worker
    refusal: str | None  # why a newcomer would be, a sentence
    flows: tuple[Flow, ...]


def not_ready(facts: ServerFacts, now: float) -> list[tuple[Code, str]]:
    """The reasons, each a code and a sentence; empty if it is ready."""
    reasons = []
    if facts.draining:
        reasons.append((Code.DRAINING, "the server is about to stop"))
    if facts.failure is not None:
        reasons.append((facts.failure_code, facts.failure))
    elif facts.phase != "ready":
        reasons.append((Code.WORKER_RESTARTING, f"the picture process is {facts.phase}"))
    elif (silence := _silence(facts.flows, now)) >= FRAME_OLD:
        reasons.append((Code.WORKER_RESTARTING, f"pictures come in and none was painted for {silence:.0f} s"))
    if facts.refusal is not None:
        reasons.append((Code.CAPACITY, facts.refusal))
    return reasons


def _silence(flows: tuple[Flow, ...], now: float) -> float:
    """Seconds for which pictures have come in and not one was answered, of whichever session."""
    begun = min((flow.since for flow in flows), default=now)
    return now - max([begun, *(flow.answered for flow in flows if flow.answered is not None)])
