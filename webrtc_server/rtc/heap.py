"""Memory of connections that have ended, back to the system.

glibc keeps what lies between blocks that are still in use, and codecs and ciphers leave much of that: a server whose
clients come and go grew by 6 MB in ten minutes (`python -m bench.reliability --only P10 --long`).
"""

from __future__ import annotations

import ctypes
import sys

_TRIM = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None  # musl has none


def give_back() -> None:
    """Takes some milliseconds: not for the event loop. Where the C library has no such function, nothing."""
    if _TRIM:
        _TRIM(0)
