"""How long a session may be silent, at each limit and right before it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from webrtc_server.limits import IDLE_END, REST_AFTER, SILENCE_END, UNUSABLE_END
from webrtc_server.policy.deadlines import End, Signs, Verdict, judge

FRESH = Signs(since=100.0, picture=100.0, word=100.0)
JUST = 0.001


@pytest.mark.parametrize(
    ("signs", "limit", "wanted", "before", "after"),
    [
        (FRESH, REST_AFTER, False, Verdict(), Verdict(rests=True)),
        (FRESH, SILENCE_END, False, Verdict(rests=True), Verdict(end=End.SILENT)),
        (Signs(since=100.0), REST_AFTER, False, Verdict(), Verdict(rests=True)),
        (Signs(since=100.0), SILENCE_END, False, Verdict(rests=True), Verdict(end=End.SILENT)),
        (replace(FRESH, picture=0.0), REST_AFTER, False, Verdict(), Verdict(rests=True)),  # words count
        (replace(FRESH, word=None), REST_AFTER, False, Verdict(), Verdict(rests=True)),  # so do pictures
        (replace(FRESH, watched=True), SILENCE_END, False, Verdict(rests=True), Verdict(rests=True)),
        (replace(FRESH, watched=True), IDLE_END, False, Verdict(rests=True), Verdict(rests=True)),
        (replace(FRESH, watched=True), IDLE_END, True, Verdict(rests=True), Verdict(end=End.SILENT)),
        (Signs(since=100.0, picture=0.0, watched=True), IDLE_END, True, Verdict(rests=True), Verdict(end=End.SILENT)),
        (replace(FRESH, word=1000.0), IDLE_END, False, Verdict(), Verdict()),
        (replace(FRESH, word=1000.0), IDLE_END, True, Verdict(), Verdict(end=End.SILENT)),
        (replace(FRESH, word=1000.0, camera_ended=True), IDLE_END, False, Verdict(), Verdict(end=End.SILENT)),
    ],
)
def test_limits(signs: Signs, limit: float, wanted: bool, before: Verdict, after: Verdict) -> None:
    assert judge(signs, 100.0 + limit - JUST, wanted) == before
    assert judge(signs, 100.0 + limit, wanted) == after


def test_unusable_pictures_end_a_session_only_in_a_row() -> None:
    signs = Signs(since=0.0, picture=10.0 + UNUSABLE_END - JUST, unusable_since=10.0)
    assert judge(signs, 13.0, wanted=False) == Verdict()
    assert judge(replace(signs, picture=10.0 + UNUSABLE_END), 13.0, wanted=False) == Verdict(end=End.UNUSABLE)
    assert judge(replace(signs, unusable_since=None), 13.0, wanted=False) == Verdict()
