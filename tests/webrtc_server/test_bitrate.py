"""The rate: sharp from the start, down at once when the link complains, up slowly, steady on a clean network."""

from __future__ import annotations

from itertools import pairwise

from webrtc_server.media.bitrate import (
    FLOOR,
    STEP_UP,
    STEP_UP_AFTER,
    BitrateControl,
    Meter,
    rates,
    worth_rebuilding,
)


def control(width: int = 640, height: int = 480, ceiling: int | None = None) -> BitrateControl:
    made = BitrateControl(0.0)
    made.size(rates(width, height, ceiling))
    return made


def test_start_is_by_size_and_never_over_the_ceiling() -> None:
    assert control().target(0.0) == 1_500_000
    assert 1_200_000 < control(512, 512).target(0.0) < 1_500_000
    assert 3_000_000 < control(1280, 720).target(0.0) < 4_000_000
    assert control(1280, 720, 1_000_000).target(0.0) == 1_000_000
    assert control(64, 64).target(0.0) == FLOOR


def test_clean_network_changes_nothing_unless_the_owner_allows_more() -> None:
    steady = control()
    generous = control(ceiling=8_000_000)
    for tenth in range(150):
        steady.estimated(3_000_000, 1_400_000, tenth / 10)
    assert {steady.target(second / 10) for second in range(150)} == {1_500_000}
    climb = [generous.target(second / 10) for second in range(600)]
    assert climb[-1] == 8_000_000
    steps = [second / 10 for second, (a, b) in enumerate(pairwise(climb)) if a != b]
    assert min(b - a for a, b in pairwise(steps)) >= STEP_UP_AFTER - 0.1
    assert all(b <= a * STEP_UP + 1 for a, b in pairwise(climb))


def test_low_estimate_after_a_still_scene_is_no_complaint() -> None:
    still = control()
    still.estimated(120_000, 80_000, 1.0)
    assert still.target(1.0) == 1_500_000


def test_estimate_below_what_is_sent_is_obeyed_at_once_and_forgotten_slowly() -> None:
    tight = control()
    tight.estimated(600_000, 1_500_000, 1.0)
    assert tight.target(1.0) == 570_000
    assert tight.target(1.0 + STEP_UP_AFTER - 0.1) == 570_000
    assert tight.target(1.0 + STEP_UP_AFTER) == 741_000
    tight.estimated(1, 1_000_000, 8.0)
    assert tight.target(8.0) == FLOOR


def test_loss_cuts_once_a_second_and_little_loss_only_holds() -> None:
    lossy = control()
    lossy.lost(0.4, 1.0)
    lossy.lost(0.4, 1.5)
    assert lossy.target(1.5) == 1_200_000
    for second in range(2, 30):
        lossy.lost(0.05, float(second))
        assert lossy.target(float(second)) == 1_200_000


def test_new_size_starts_sharp_unless_the_link_was_found_narrow() -> None:
    free, tight = control(), control()
    tight.estimated(500_000, 1_500_000, 1.0)
    for each in (free, tight):
        each.size(rates(1280, 720))
    assert free.target(2.0) > 3_000_000
    assert tight.target(2.0) == 475_000


def test_encoder_is_rebuilt_for_large_changes_and_seldom() -> None:
    assert not worth_rebuilding(1_500_000, 1_900_000, 60)
    assert not worth_rebuilding(1_500_000, 2_000_000, 4.9)
    assert worth_rebuilding(1_500_000, 2_000_000, 5)
    assert worth_rebuilding(1_500_000, 1_000_000, 1)
    assert not worth_rebuilding(1_500_000, 1_000_000, 0.5)


def test_meter_counts_the_last_second() -> None:
    meter = Meter()
    for frame in range(60):
        meter.add(1000, frame / 30)
    assert 230_000 < meter.rate(59 / 30) <= 250_000
    assert meter.rate(10.0) == 0


def test_burst_after_a_pause_is_not_taken_for_what_the_link_was_given() -> None:
    meter, link = Meter(), control()
    for frame in range(60):  # a still scene, then motion
        meter.add(300 if frame < 45 else 6_000, frame / 30)
        link.estimated(110_000, meter.steady(frame / 30), frame / 30)  # 1.5 times what came while all was still
    assert link.target(2.0) == 1_500_000
    for frame in range(60, 150):
        meter.add(6_000, frame / 30)
    link.estimated(700_000, meter.steady(5.0), 5.0)
    assert link.target(5.0) == 665_000
