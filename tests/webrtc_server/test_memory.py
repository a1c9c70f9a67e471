"""What has ended is cleared away without anybody asking, and what is freed goes back to the system."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator

import pytest

from tests.conftest import StartServer
from tests.fakes.rtc_client import RtcClient
from webrtc_server.limits import CLEAR_PERIOD, CLEAR_SHARE
from webrtc_server.web import memory

BLOCK, COUNT = 64 * 1024, 1000  # bytes; below the size for which the C library asks the system each time
# In a process of its own: what other tests have freed lies about in this one.
PROGRAM = f"""
import psutil
from webrtc_server.web import memory
blocks = [bytes([1]) * {BLOCK} for _ in range({COUNT})]
stays = blocks[::16]
blocks.clear()
before = psutil.Process().memory_info().rss
memory.give_back()
print(before - psutil.Process().memory_info().rss)
"""


class Circle:
    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def by_nobody_else() -> Iterator[None]:
    """Python collects nothing of itself."""
    gc.disable()
    yield
    gc.enable()


async def gone(reference: Callable[[], object], timeout: float = 10) -> None:
    async with asyncio.timeout(timeout):
        while reference() is not None:
            await asyncio.sleep(0.05)


@pytest.mark.skipif(memory._TRIM is None, reason="this C library gives memory back by itself, or cannot")
def test_memory_between_what_stays_is_given_back() -> None:
    given = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=30
    ).stdout
    assert int(given) > BLOCK * COUNT / 2


async def test_circles_are_looked_for_once_a_connection_has_ended(
    by_nobody_else: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "CLEAR_PERIOD", 0.01)
    ended = 0
    clearing = asyncio.create_task(memory.keep_clear(lambda: ended))
    left = weakref.ref(Circle())
    await asyncio.sleep(0.1)
    assert left() is not None  # nothing has ended: no look
    ended = 1
    await gone(left)
    clearing.cancel()


async def test_a_session_and_its_connection_are_cleared_away(by_nobody_else: None, start_server: StartServer) -> None:
    server = await start_server("identity")
    async with RtcClient(server.url) as client:
        await client.frames(1)
        session = weakref.ref(next(iter(server.manager.sessions.values())))
    await gone(session)


def test_looks_that_take_long_are_rare() -> None:
    assert memory.pause_after(0.001) == CLEAR_PERIOD
    assert memory.pause_after(2 * CLEAR_PERIOD * CLEAR_SHARE) == 2 * CLEAR_PERIOD
