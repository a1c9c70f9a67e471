"""What the outgoing track sends, as a simulation: the pipeline is quick, slow, stalled or dead, the camera too."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from webrtc_server.limits import PASS_THROUGH_AFTER, STALL_AFTER
from webrtc_server.media.pacer import TICKS, Pacer, Send, WaitUntil


@dataclass
class Track:
    """The track's loop over simulated time; events are (time, kind, name)."""

    pacer: Pacer[str] = field(default_factory=lambda: Pacer(0.0))
    sent: list[tuple[float, Send[str]]] = field(default_factory=list)

    def play(self, events: list[tuple[float, str, str]], end: float) -> list[tuple[float, Send[str]]]:
        pending = sorted(events)
        now = 0.0
        while now < end:
            decision = self.pacer.next(now)
            if isinstance(decision, Send):
                self.sent.append((now, decision))
                continue
            assert decision.time > now
            now = min(decision.time, pending[0][0] if pending else end, end)
            while pending and pending[0][0] <= now:
                at, kind, name = pending.pop(0)
                pts = round(float(name.removeprefix("f")) * TICKS)
                (self.pacer.captured if kind == "in" else self.pacer.finished)(name, pts, at)
        times = [stamp for _, decision in self.sent for stamp in [decision.pts]]
        assert times == sorted(set(times)), "time stamps rise"
        return self.sent


def camera(fps: float, seconds: float, delay: float | None) -> list[tuple[float, str, str]]:
    """Pictures named after their time; each is finished `delay` later, or never."""
    events = []
    for index in range(int(fps * seconds)):
        at = index / fps
        events.append((at, "in", f"f{at:.4f}"))
        if delay is not None:
            events.append((at + delay, "out", f"f{at:.4f}"))
    return events


def test_quick_pipeline_every_frame_fresh_at_once_with_its_own_time_stamp() -> None:
    sent = Track().play(camera(30, 1, 0.02), 1.02)
    assert [decision.kind for _, decision in sent] == ["fresh"] * 30
    assert all(decision.pts == round(float(decision.frame[1:]) * TICKS) for _, decision in sent)
    assert all(at == pytest.approx(float(decision.frame[1:]) + 0.02, abs=1e-3) for at, decision in sent)


def test_slow_pipeline_its_last_frame_is_repeated_never_the_camera() -> None:
    slow = [event for event in camera(30, 6, None)]
    slow += [(at + 1.2, "out", f"f{at:.4f}") for at in (0.0, 1.2, 2.4, 3.6)]
    kinds = [decision.kind for at, decision in Track().play(slow, 6) if at >= 1.2]
    assert set(kinds) == {"fresh", "repeat"}
    assert kinds.count("fresh") == 4


def test_nothing_painted_yet_shows_the_camera_after_a_moment() -> None:
    sent = Track().play(camera(30, 1, None), 0.6)
    assert [(at, decision.kind) for at, decision in sent] == [(STALL_AFTER, "unpainted")]


def test_hung_pipeline_is_repeated_then_passed_through() -> None:
    sent = Track().play(camera(30, 1, 0.02) + [event for event in camera(30, 5, None) if event[0] >= 1], 5)
    kinds = [(at, decision.kind) for at, decision in sent if at > 1.02]
    assert [kind for _, kind in kinds[:3]] == ["repeat"] * 3
    assert all(kind == "unpainted" for at, kind in kinds if at >= 1.0 + PASS_THROUGH_AFTER)
    gaps = [b - a for (a, _), (b, _) in pairwise(sent)]
    assert max(gaps) <= STALL_AFTER + 1e-6


def test_silent_camera_repeats_with_stamps_that_follow_the_clock() -> None:
    sent = Track().play(camera(30, 1, 0.02), 4)
    repeats = [(at, decision) for at, decision in sent if decision.kind == "repeat"]
    assert len(repeats) == (4 - 0.9867) // STALL_AFTER
    assert repeats[-1][1].pts / TICKS == pytest.approx(repeats[-1][0] - 0.02, abs=0.01)


def test_frames_overtaken_before_they_are_sent_are_counted() -> None:
    pacer: Pacer[str] = Pacer(0)
    pacer.finished("a", 1, 0)
    pacer.finished("b", 2, 0)
    assert pacer.next(0) == Send("b", 2, "fresh")
    assert pacer.late == 1
    assert isinstance(pacer.next(0), WaitUntil)


def test_repeat_leaves_room_for_the_picture_that_is_being_painted() -> None:
    pacer: Pacer[str] = Pacer(0)
    pacer.finished("a", 0, 0)
    pacer.next(0)
    pacer.captured("b", 9000, 0.1)
    assert pacer.next(0.6) == Send("a", 8999, "repeat")
    pacer.finished("b", 9000, 0.7)
    assert pacer.next(0.7) == Send("b", 9000, "fresh")
