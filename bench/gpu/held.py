"""How many sessions are held at 30 frames a second, with cameras that tick on their own and wait for nobody.

As in the worker: who has a new picture joins the next batch, a newer picture takes the place of an older one.
"""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from bench.gpu.rig import Figures, Finish, Rig, Sessions, check, drive
from pipeline.policy.scheduler import next_batch

CAMERA_FPS = 30.0
LEAST_FPS = 29.5  # of each session
MOST_P95_MS = 66.0  # from a picture's coming to its painted answer: two periods of the camera
GOLDEN = 0.618034  # of a period between one camera's tick and the next one's: spreads any number of them evenly


@dataclass
class Run:
    """Some sessions against the clock."""

    expected: list[int]  # pictures that each camera gave
    painted: list[int]
    latencies: list[float] = field(default_factory=list)  # ms

    @property
    def least_fps(self) -> float:
        return min(
            CAMERA_FPS * painted / expected for painted, expected in zip(self.painted, self.expected, strict=True)
        )

    @property
    def p95_ms(self) -> float:
        return float(np.percentile(self.latencies, 95))

    @property
    def holds(self) -> bool:
        return self.least_fps >= LEAST_FPS and self.p95_ms < MOST_P95_MS


def held(rig: Rig) -> Figures:
    """The most sessions for which each gets its frames, and in time; figures of fewer if not even one does."""
    fits, too_many = 0, rig.scale.most_sessions + 1
    while too_many - fits > 1:
        count = (fits + too_many) // 2
        run = clocked(rig.sessions(count), rig.scale.clocked_s)
        print(f"   {count} sessions: {run.least_fps:.1f} fps at least, p95 {run.p95_ms:.0f} ms", flush=True)
        fits, too_many = (count, too_many) if run.holds else (fits, count)
    while True:  # what held by luck does not hold twice as long
        run = clocked(rig.sessions(max(1, fits)), 2 * rig.scale.clocked_s)
        if run.holds or not fits:
            return {"sessions": float(fits), "least_fps": run.least_fps, "p95_ms": run.p95_ms}
        fits -= 1


def clocked(sessions: Sessions, seconds: float) -> Run:
    """`seconds` of pictures of all cameras, painted as they come."""
    engine, count = sessions.engine, len(sessions.states)
    for size in range(1, min(count, engine.batch_limit) + 1):  # whatever a shape needs once, it has before the clock
        drive(engine, (sessions.batch(index, range(size)) for index in range(3)))
    period = 1 / CAMERA_FPS
    begun = time.perf_counter()
    first = [begun + period * (number * GOLDEN % 1) for number in range(count)]
    expected = round(seconds * CAMERA_FPS)
    run = Run([expected] * count, [0] * count)
    taken = [-1] * count  # the number of the picture painted last
    turns = [0] * count
    under_way: deque[tuple[Finish, dict[int, float]]] = deque()

    def newest(number: int) -> int:
        return min(math.floor((time.perf_counter() - first[number]) / period), expected - 1)

    def fetch() -> None:
        finish, came = under_way.popleft()
        check(finish())
        now = time.perf_counter()
        for number, at in came.items():
            run.painted[number] += 1
            run.latencies.append(1000 * (now - at))

    served = 0
    while True:
        pictures = {number: newest(number) for number in range(count)}
        busy = {number for _, came in under_way for number in came}
        waiting = {
            number: turns[number]
            for number, picture in pictures.items()
            if picture > taken[number] and number not in busy
        }
        if waiting:
            chosen = next_batch(waiting, lambda number: (engine, engine.batch_limit))
            for number in chosen:
                served += 1
                taken[number], turns[number] = pictures[number], served
            came = {number: first[number] + period * pictures[number] for number in chosen}
            under_way.append((engine.start(sessions.batch(served, chosen)), came))
            if len(under_way) > int(engine.works_aside):  # so many may be begun before the oldest is fetched
                fetch()
        elif under_way:
            fetch()
        elif min(taken) == expected - 1:
            return run
        else:
            due = min(
                first[number] + period * (taken[number] + 1) for number in range(count) if taken[number] < expected - 1
            )
            time.sleep(max(0.0, due - time.perf_counter()))
