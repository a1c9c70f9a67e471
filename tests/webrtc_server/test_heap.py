"""What is freed goes back to the system, also where something that stays lies behind it."""

from __future__ import annotations

import psutil
import pytest

from webrtc_server.rtc import heap

BLOCK, COUNT = 64 * 1024, 1000  # bytes; below the size for which the C library asks the system each time


@pytest.mark.skipif(heap._TRIM is None, reason="this C library gives memory back by itself, or cannot")
def test_memory_between_what_stays_is_given_back() -> None:
    blocks = [bytes([number % 256]) * BLOCK for number in range(COUNT)]
    stays = [bytes(BLOCK // 16) + blocks.pop(number)[:1] for number in range(COUNT - 1, 0, -16)]
    blocks.clear()
    before = psutil.Process().memory_info().rss
    heap.give_back()
    assert before - psutil.Process().memory_info().rss > COUNT * BLOCK / 4
    assert len(stays) == (COUNT + 14) // 16
