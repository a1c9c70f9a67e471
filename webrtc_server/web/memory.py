"""Memory of the server's process: what has ended is cleared away soon after, and what stays to the end is left alone.

A connection leaves circles of objects behind, with pictures and ciphers in them. Python by itself looks for such when
they have become many: its memory then lies in holes between that of others, and the heap grows with each round. Four
sessions beside 260 that came and went (`bench/reliability/soak.py`, six times as fast): 9 MB more without `keep_clear`,
nothing with it, and 20 MB less in all for giving the holes back.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import sys
import time
from collections.abc import Callable

from webrtc_server.limits import CLEAR_PERIOD, CLEAR_SHARE

_TRIM = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None  # musl has none


def leave_out_of_collections() -> None:
    """What was imported stays to the end, so the garbage collector need not look at it again: of 50 ms for which a
    collection holds the event loop, these are all but a few."""
    gc.collect()
    gc.freeze()
    gc.collect()  # a full collection is due when a quarter of what the last one left has come since


async def keep_clear(ended: Callable[[], int]) -> None:
    """Runs until it is cancelled. `ended`: how many connections have ended so far. A look takes some milliseconds."""
    cleared, pause = ended(), CLEAR_PERIOD
    while True:
        await asyncio.sleep(pause)
        if (count := ended()) != cleared:
            cleared, begun = count, time.perf_counter()
            gc.collect()  # on the loop's own thread, for the ends of what is asyncio's belong there
            give_back()
            pause = pause_after(time.perf_counter() - begun)


def pause_after(spent: float) -> float:
    """Seconds to the next look, if the last one took `spent`: all together take at most CLEAR_SHARE of the time."""
    return max(CLEAR_PERIOD, spent / CLEAR_SHARE)


def give_back() -> None:
    """The holes in the heap, to the system. Takes a millisecond or two; nothing, where the C library cannot."""
    if _TRIM:
        _TRIM(0)
