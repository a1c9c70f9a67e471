"""What is freed goes back to the system, also where something that stays lies behind it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from webrtc_server.rtc import heap

BLOCK, COUNT = 64 * 1024, 1000  # bytes; below the size for which the C library asks the system each time
# In a process of its own: what other tests have freed lies about in this one.
PROGRAM = f"""
import psutil
from webrtc_server.rtc import heap
blocks = [bytes([1]) * {BLOCK} for _ in range({COUNT})]
stays = blocks[::16]
blocks.clear()
before = psutil.Process().memory_info().rss
heap.give_back()
print(before - psutil.Process().memory_info().rss)
"""


@pytest.mark.skipif(heap._TRIM is None, reason="this C library gives memory back by itself, or cannot")
def test_memory_between_what_stays_is_given_back() -> None:
    given = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=30
    ).stdout
    assert int(given) > BLOCK * COUNT / 2
