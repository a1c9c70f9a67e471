"""When a worker is pinged, stalled, killed and started again; whose fault it was. Lists of calls, without a clock."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from pipeline.policy import supervision
from pipeline.policy.blame import GUILTY_AFTER, PROVEN_AFTER, Blame
from pipeline.policy.failures import (
    MOST_IN_A_ROW,
    MOST_OUT_OF_MEMORY,
    OUT_OF_MEMORY_APART,
    OUT_OF_MEMORY_WINDOW,
    Failures,
)
from pipeline.policy.supervision import (
    HEALTHY_AFTER,
    KILL_AFTER,
    LOAD_TIMEOUT,
    LOOP_WINDOW,
    PING_INTERVAL,
    PREPARING_KILL_AFTER,
    STALL_AFTER,
    STALL_RATIO,
    Doing,
    Pulse,
    Rest,
    Supervision,
    Verdict,
)


def supervised(ready: float | None = 0.0) -> Supervision:
    decided = Supervision()
    decided.started(0.0)
    if ready is not None:
        decided.ready(ready)
    return decided


@dataclass
class Life:
    """A worker that answers each ping at once with `doing` since `since`; how the shell drives the decisions."""

    usual: float = 0.03
    doing: Doing = "nothing"
    since: float = 0.0
    loads: bool = False
    silent_from: float = float("inf")
    decided: Supervision = field(default_factory=supervised)
    now: float = 0.0
    said: list[tuple[float, Verdict]] = field(default_factory=list)

    def until(self, end: float) -> list[tuple[float, Verdict]]:
        """Every change of the verdict, and when."""
        while self.now < end:
            if self.decided.ping(self.now) and self.now < self.silent_from:
                busy = self.now - self.since if self.doing != "nothing" else 0.0
                self.decided.answered(Pulse(self.doing, busy, self.usual, self.loads), self.now)
            verdict = self.decided.look(self.now)
            if not self.said or self.said[-1][1] != verdict:
                self.said.append((round(self.now, 3), verdict))
            if verdict in ("hung", "late"):
                break
            self.now += max(self.decided.wait(self.now), 0.001)
        return self.said


def test_a_worker_that_answers_is_well_and_is_asked_four_times_a_second() -> None:
    decided = supervised()
    pings = []
    for step in range(2000):
        now = step / 1000
        if decided.ping(now):
            pings.append(now)
            assert not decided.ping(now + 5)  # one at a time
            decided.answered(Pulse("painting", 0.01, 0.03, loads=False), now)
        assert decided.look(now) == "well"
    assert pings == [PING_INTERVAL * count for count in range(1, 8)]


def test_a_step_that_does_not_end_is_noticed_within_two_seconds_and_ended_within_ten() -> None:
    [well, (stalled, what), (killed, end)] = Life(doing="painting", since=1.03, now=1.0).until(60)
    assert (well[1], what, end) == ("well", "stalled", "hung")
    assert 1.03 + STALL_AFTER <= stalled < 1.03 + 2
    assert stalled + KILL_AFTER <= killed <= 1.03 + 2 + KILL_AFTER + PING_INTERVAL


def test_so_is_a_process_that_says_nothing() -> None:
    [_, (stalled, _), (killed, end)] = Life(silent_from=1.01).until(60)
    assert end == "hung"
    assert stalled <= 1.01 + STALL_AFTER
    assert killed <= 1.01 + 2 + KILL_AFTER + PING_INTERVAL


def test_a_slow_pipeline_has_ten_times_its_usual_time() -> None:
    limit = STALL_RATIO * 0.4
    assert Life(usual=0.4, doing="painting").until(limit - 0.01) == [(0.0, "well")]
    assert Life(usual=0.4, doing="painting").until(60)[1] == (limit, "stalled")
    assert Life(usual=0.4, doing="preparing").until(60)[1] == (STALL_AFTER, "stalled")


def test_the_log_says_what_it_was_at() -> None:
    decided = supervised()
    assert decided.last_words(1.5) == "last heard of 1.5 s ago"
    decided.answered(Pulse("painting", 1.9, 0.0321, False), 2.0)
    assert decided.last_words(2.5) == "last heard of 0.5 s ago: it was painting for 1.9 s, usually 0.032 s"


@pytest.mark.parametrize("life", [Life(doing="preparing"), Life(doing="painting", loads=True)])
def test_what_may_take_long_is_told_as_early_and_ended_later(life: Life) -> None:
    [_, (stalled, what), (killed, end)] = life.until(60)
    assert (what, end) == ("stalled", "hung")
    assert stalled == STALL_AFTER
    assert killed == pytest.approx(STALL_AFTER + PREPARING_KILL_AFTER, abs=PING_INTERVAL)


def test_what_stalls_and_goes_on_starts_anew() -> None:
    life = Life(doing="painting")
    life.until(STALL_AFTER + KILL_AFTER - 0.5)
    life.doing = "nothing"
    life.until(12)
    life.doing, life.since = "painting", life.now
    assert [verdict for _, verdict in life.until(life.now + KILL_AFTER)] == ["well", "stalled", "well", "stalled"]


def test_a_server_that_was_stopped_itself_gives_the_worker_its_time() -> None:
    decided = supervised()
    assert decided.ping(1.0)
    assert decided.look(500.0) == "stalled"
    decided.answered(Pulse("nothing", 0.0, 0.03, loads=False), 500.1)
    assert decided.look(500.1) == "well"


def test_a_load_is_no_hang_until_its_limit() -> None:
    assert Life(decided=supervised(ready=None), silent_from=0).until(LOAD_TIMEOUT - 0.01) == [(0.0, "well")]
    assert Life(decided=supervised(ready=None), silent_from=0).until(LOAD_TIMEOUT + 1)[-1] == (LOAD_TIMEOUT, "late")


def test_a_load_beside_has_the_same_limit_while_others_are_painted() -> None:
    life = Life(loads=True)
    assert life.until(LOAD_TIMEOUT) == [(0.0, "well")]
    [_, (when, verdict)] = life.until(LOAD_TIMEOUT + 2)
    assert verdict == "late"
    assert when == pytest.approx(LOAD_TIMEOUT + PING_INTERVAL, abs=0.01)
    ends = Life(loads=True)
    ends.until(LOAD_TIMEOUT - 1)
    ends.loads = False
    assert ends.until(LOAD_TIMEOUT * 2) == [(0.0, "well")]


def test_the_load_limit_can_be_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "LOAD_TIMEOUT", 6.0)
    assert Life(decided=supervised(ready=None), silent_from=0).until(60)[-1] == (6.0, "late")


def test_first_death_is_free_and_quick_ones_double_the_delay() -> None:
    decided = Supervision()
    minutes = [decided.died(now * 61.0) for now in range(9)]
    assert [rest.delay for rest in minutes] == [0, 0.5, 1, 2, 4, 8, 16, 30, 30]
    assert not any(rest.looping for rest in minutes)


def test_five_deaths_in_a_minute_are_a_loop_until_one_serves_for_long() -> None:
    decided = Supervision()
    rests = [decided.died(now) for now in (0.0, 1.0, 2.0, 3.0, LOOP_WINDOW, 100.0)]
    assert rests[3:] == [Rest(2.0, False), Rest(30.0, True), Rest(30.0, True)]
    decided.ready(200.0)
    assert decided.died(200.0 + HEALTHY_AFTER - 0.1) == Rest(30.0, True)
    decided.ready(300.0)
    assert decided.died(300.0 + HEALTHY_AFTER) == Rest(0.0, False)
    spread = Supervision()
    assert not any(spread.died(now).looping for now in (0.0, 1.0, 2.0, 3.0, LOOP_WINDOW + 0.1))


def test_long_service_is_remembered_and_short_service_is_not() -> None:
    decided = Supervision()
    decided.ready(0)
    assert decided.died(29.9).delay == 0
    decided.ready(30)
    assert decided.died(59.9).delay == 0.5
    decided.ready(60)
    assert decided.died(90).delay == 0


def lives(blame: Blame, *ends: tuple[int, bool]) -> list[bool]:
    """Of each (frames painted, whether it was at work for this session when it ended): whether it is found guilty."""
    verdicts = []
    for frames, at_work in ends:
        for _ in range(frames):
            blame.painted()
        verdicts.append(blame.worker_ended(at_work))
    return verdicts


def test_who_ends_two_workers_before_it_is_proven_is_guilty() -> None:
    assert GUILTY_AFTER == 2
    assert lives(Blame(), (0, True), (PROVEN_AFTER - 1, True), (0, True)) == [False, True, True]
    assert lives(Blame(), (PROVEN_AFTER, True), (PROVEN_AFTER, True)) == [False, False]
    assert lives(Blame(), (0, True), (PROVEN_AFTER, True), (0, True)) == [False, False, False]
    assert lives(Blame(), *[(0, False)] * 9) == [False] * 9
    assert lives(Blame(), (0, True), (0, False), (0, True)) == [False, False, True]


def test_a_suspect_stays_one_until_it_is_proven() -> None:
    blame = Blame()
    assert not blame.is_suspect
    lives(blame, (0, True), (0, True))
    for _ in range(PROVEN_AFTER):
        assert blame.is_suspect
        blame.painted()
    assert not blame.is_suspect


def test_the_next_session_of_a_client_takes_the_blame_over() -> None:
    blame = Blame()
    assert not blame.handed_on(hangs=False).is_suspect
    assert lives(blame.handed_on(hangs=True), (0, True)) == [True]
    lives(blame, (0, True))
    assert lives(blame.handed_on(hangs=False), (0, True)) == [True]
    for _ in range(PROVEN_AFTER):
        blame.painted()
    assert not blame.handed_on(hangs=True).is_suspect
    assert lives(blame.handed_on(hangs=False), (0, True)) == [False]  # what it painted was painted for another


def test_other_settings_have_to_prove_themselves() -> None:
    blame = Blame()
    for _ in range(PROVEN_AFTER):
        blame.painted()
    blame.changed()
    assert lives(blame, (0, True), (0, True)) == [False, True]


def test_frames_that_fail_in_a_row_end_a_process_and_one_that_does_not_saves_it() -> None:
    failures = Failures()
    reasons = [failures.failed(out_of_memory=False, now=0.0) for _ in range(MOST_IN_A_ROW)]
    assert not any(reasons[:-1])
    assert reasons[-1] == f"{MOST_IN_A_ROW} frames in a row failed"
    failures.painted()
    assert not failures.failed(out_of_memory=False, now=0.0)


def test_frames_without_memory_end_a_process_if_they_come_soon_after_each_other() -> None:
    assert MOST_OUT_OF_MEMORY == 3
    for third, ends in ((OUT_OF_MEMORY_WINDOW, True), (OUT_OF_MEMORY_WINDOW + 0.1, False)):
        failures = Failures()
        reasons = []
        for now in (0.0, 1.0, third):
            reasons.append(failures.failed(out_of_memory=True, now=now))
            failures.painted()  # of others
        assert [bool(reason) for reason in reasons] == [False, False, ends]


def test_frames_without_memory_that_were_on_their_way_together_count_once() -> None:
    failures = Failures()
    apart = OUT_OF_MEMORY_APART
    reasons = [failures.failed(out_of_memory=True, now=now) for now in (0.0, 0.1, apart - 0.01, apart, 2 * apart)]
    assert [bool(reason) for reason in reasons] == [False, False, False, False, True]
