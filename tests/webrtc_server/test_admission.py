"""Who is painted, who waits, who is turned away: a list of calls, without a clock."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from webrtc_server.limits import MEASURED_PLACES, PENDING_OFFERS, PLACE_FPS
from webrtc_server.policy.admission import Admission, Place, Refusal
from webrtc_server.policy.capacity import ENOUGH, WINDOW, PaintingCost


def come(admission: Admission, keys: str, places: int = 2, now: float = 0.0) -> None:
    for key in keys:
        assert admission.refusal(places) is None, key
        admission.enter(key)
        admission.connected(key)
        admission.advance(places, now)


def numbers(admission: Admission, places: int = 2) -> dict[str, int]:
    return {key: place.number for key, place in admission.line(places).items()}


def test_places_go_in_order_and_whoever_leaves_frees_one_at_once() -> None:
    admission = Admission(queue_length=3)
    come(admission, "abcde")
    assert (list(admission.running), numbers(admission)) == (["a", "b"], {"c": 1, "d": 2, "e": 3})
    assert admission.refusal(2) is Refusal.FULL
    admission.leave("d", 1.0)
    assert numbers(admission) == {"c": 1, "e": 2}
    assert admission.refusal(2) is None
    admission.leave("a", 1.0)
    assert admission.advance(2, 1.0) == ["c"]
    assert (list(admission.running), numbers(admission)) == (["b", "c"], {"e": 1})


def test_without_a_line_only_places_are_given() -> None:
    admission = Admission(queue_length=0)
    come(admission, "ab")
    assert admission.refusal(2) is Refusal.FULL
    admission.leave("b", 1.0)
    assert admission.refusal(2) is None


def test_those_who_have_yet_to_connect_hold_a_seat_but_no_place() -> None:
    admission = Admission(queue_length=1)
    admission.enter("slow")
    come(admission, "ab")
    assert list(admission.running) == ["a", "b"]
    assert admission.refusal(2) is Refusal.FULL  # or "slow" would be turned away after it was let in
    admission.connected("slow")
    assert numbers(admission) == {"slow": 1}


def test_pending_offers_are_limited() -> None:
    admission = Admission(queue_length=1000)
    for number in range(PENDING_OFFERS):
        assert admission.refusal(2) is None
        admission.enter(str(number))
    assert admission.refusal(2) is Refusal.PENDING
    admission.leave("0", 1.0)
    assert admission.refusal(2) is None


def test_a_reload_stands_where_it_stood() -> None:
    admission = Admission(queue_length=3)
    come(admission, "abcd")
    admission.enter("p")
    for old, new in (("a", "A"), ("c", "C"), ("p", "P")):
        admission.take_over(old, new)
        admission.leave(old, 1.0)
    assert (set(admission.running), numbers(admission)) == ({"A", "b"}, {"C": 1, "d": 2})
    assert admission.pending == {"P"}
    admission.connected("C")  # is in line already
    assert numbers(admission) == {"C": 1, "d": 2}


def test_time_to_wait_follows_from_how_long_others_stayed() -> None:
    admission = Admission(queue_length=3)
    come(admission, "abcd", now=0.0)
    assert admission.line(2)["c"] == Place(1, None)
    admission.leave("a", 60.0)
    admission.advance(2, 60.0)
    assert admission.line(2)["d"] == Place(1, 30.0)  # two places, each free every 60 s
    admission.leave("d", 61.0)  # who was only in line tells nothing
    come(admission, "ef")
    assert admission.line(2)["f"] == Place(2, 60.0)


def test_fewer_places_send_nobody_back() -> None:
    admission = Admission(queue_length=1)
    come(admission, "abc", places=3)
    assert admission.refusal(1) is None
    come(admission, "d", places=1)
    assert (list(admission.running), numbers(admission)) == (["a", "b", "c"], {"d": 1})
    admission.leave("a", 1.0)
    assert admission.advance(1, 1.0) == []
    assert admission.advance(3, 1.0) == ["d"]


@given(st.lists(st.tuples(st.sampled_from(["come", "connect", "leave"]), st.integers(0, 9)), max_size=60))
def test_nobody_is_in_two_places_and_the_line_keeps_its_order(steps: list[tuple[str, int]]) -> None:
    admission, arrivals = Admission(queue_length=3), list[str]()
    for now, (step, number) in enumerate(steps):
        key = str(number)
        present = [*admission.pending, *admission.waiting, *admission.running]
        if step == "come" and key not in present and admission.refusal(2) is None:
            admission.enter(key)
        elif step == "connect" and key in admission.pending:
            admission.connected(key)
            arrivals.append(key)
        elif step == "leave":
            admission.leave(key, now)
            arrivals = [each for each in arrivals if each != key]
        admission.advance(2, now)
        present = [*admission.pending, *admission.waiting, *admission.running]
        assert len(present) == len(set(present)) <= 5
        assert [*admission.running, *admission.waiting] == arrivals
        assert len(admission.running) == min(2, len(arrivals))


def test_places_are_as_many_as_painting_leaves_time_for() -> None:
    cost = PaintingCost()
    assert cost.places() == MEASURED_PLACES
    for number in range(ENOUGH - 1):
        cost.add(number, number + 0.9)
    assert cost.places() == MEASURED_PLACES  # not enough is known
    cost.add(ENOUGH, ENOUGH + 0.9)
    assert cost.places() == 1  # a frame takes 0.9 s: too slow for one, but one is always painted
    period = 1 / PLACE_FPS
    for number in range(WINDOW):
        cost.add(100 + number, 100 + number + 0.99 * period / 3)
    assert cost.places() == 3
    for number in range(WINDOW):
        cost.add(300 + number, 300 + number + 0.0001)
    assert cost.places() == MEASURED_PLACES


def test_what_is_painted_together_costs_once() -> None:
    cost, period = PaintingCost(), 1 / PLACE_FPS
    for number in range(WINDOW // 4):
        for _ in range(4):
            cost.add(number, number + 0.99 * period)
    assert cost.places() == 4
    overlapping = PaintingCost()
    for number in range(WINDOW):
        overlapping.add(number * 0.49 * period, (number + 2) * 0.49 * period)  # begun while the one before is painted
    assert overlapping.places() == 2
