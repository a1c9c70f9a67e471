"""One stream, many viewers, as a simulation: who gets what, and that the slow one is alone with its trouble."""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass, field

from webrtc_server.media.fanout import QUEUE, Fanout, rung


@dataclass
class Stage:
    """Thirty packets a second. Viewers in `stuck` take nothing out of their queue."""

    fanout: Fanout[str] = field(default_factory=Fanout)
    queues: dict[str, list[tuple[int, bool]]] = field(default_factory=lambda: defaultdict(list))
    seen: dict[str, list[tuple[int, bool]]] = field(default_factory=lambda: defaultdict(list))
    stuck: set[str] = field(default_factory=set)
    frame: int = 0

    def join(self, viewer: str) -> None:
        self.fanout.join(viewer, self.frame / 30)

    def play(self, frames: int) -> None:
        for _ in range(frames):
            now = self.frame / 30
            key = self.fanout.key_frames.take(now)
            deal = self.fanout.deal(key, {viewer: len(self.queues[viewer]) for viewer in self.fanout.viewers}, now)
            for viewer in deal.clear:
                self.queues[viewer].clear()
            for viewer in deal.give:
                self.queues[viewer].append((self.frame, key))
            for viewer in self.fanout.viewers:
                assert len(self.queues[viewer]) <= QUEUE
                if viewer not in self.stuck:
                    self.seen[viewer] += self.queues.pop(viewer, [])
            self.frame += 1


def test_viewer_joins_at_a_key_frame_within_300_ms_whenever_it_comes() -> None:
    for wait in range(1, 12):
        stage = Stage()
        stage.join("first")
        stage.play(wait)
        stage.join("late")
        stage.play(30)
        first, key = stage.seen["late"][0]
        assert key
        assert first - wait <= 9
        assert [frame for frame, _ in stage.seen["first"]] == list(range(stage.frame))


def test_slow_viewer_loses_frames_goes_on_at_a_key_frame_and_slows_nobody() -> None:
    stage = Stage()
    stage.join("quick")
    stage.join("slow")
    stage.play(10)
    stage.stuck = {"slow"}
    stage.play(60)
    stage.stuck = set()
    stage.play(60)
    assert [frame for frame, _ in stage.seen["quick"]] == list(range(130))
    keys = [frame for frame, key in stage.seen["quick"] if key]
    assert min(b - a for a, b in itertools.pairwise(keys)) >= 15
    slow = stage.seen["slow"]
    for (before, _), (after, key) in itertools.pairwise(slow):
        assert after == before + 1 or key
    assert slow[-1][0] == 129


def test_who_has_left_gets_nothing_and_may_not_ask() -> None:
    stage = Stage()
    stage.join("one")
    stage.play(1)
    stage.fanout.leave("one")
    stage.fanout.leave("one")
    stage.fanout.repair("one", 5.0)
    stage.play(30)
    assert not stage.fanout.key_frames.take(9.0)
    assert len(stage.seen["one"]) == 1


def test_rung_goes_down_when_the_link_is_narrow_and_up_only_when_it_carries_all() -> None:
    assert rung("full", 1_000_000, 1_500_000) == "full"
    assert rung("full", 800_000, 1_500_000) == "low"
    assert rung("low", 1_400_000, 1_500_000) == "low"
    assert rung("low", 1_500_000, 1_500_000) == "full"
