"""Key frames: at once when first wished for, then spaced, and one for all who wish."""

from __future__ import annotations

import itertools

from webrtc_server.media.keyframes import JOIN_SPACING, REPAIR_SPACING, KeyFrames


def test_first_wish_is_granted_at_once_and_only_once() -> None:
    keys = KeyFrames()
    assert not keys.take(0.0)
    keys.wish("join", 0.0)
    assert [keys.take(0.0), keys.take(0.01)] == [True, False]


def test_peer_that_asks_with_every_frame_gets_one_in_half_a_second() -> None:
    keys, granted = KeyFrames(), []
    for frame in range(90):
        keys.wish("repair", frame / 30)
        if keys.take(frame / 30):
            granted.append(frame / 30)
    assert len(granted) == 6
    assert min(b - a for a, b in itertools.pairwise(granted)) >= REPAIR_SPACING


def test_new_viewer_does_not_wait_as_long_as_a_repair() -> None:
    keys = KeyFrames()
    keys.sent(0.0)
    keys.wish("repair", 0.1)
    keys.wish("join", 0.1)
    assert [keys.take(JOIN_SPACING - 0.01), keys.take(JOIN_SPACING)] == [False, True]
    assert not keys.take(REPAIR_SPACING)  # the repair was granted by it too
