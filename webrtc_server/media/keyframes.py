"""When the next frame is to be a key frame. Pure.

A key frame costs some ten times a common one, so wishes that come close together share one, and no peer can have them
at will. Asked by `media/fanout.py` for each stream of packets; nothing else makes a key frame.
"""

from __future__ import annotations

from typing import Literal

REPAIR_SPACING = 0.5  # seconds: a receiver that lost a picture repeats its PLI (RFC 4585 section 6.3.1) until mended
JOIN_SPACING = 0.2  # seconds: a new viewer sees its first picture within 0.3

Reason = Literal["join", "repair"]


class KeyFrames:
    """The wishes of all who see one stream."""

    def __init__(self) -> None:
        self._due: float | None = None
        self._last: float | None = None

    def wish(self, reason: Reason, now: float) -> None:
        spacing = JOIN_SPACING if reason == "join" else REPAIR_SPACING
        due = now if self._last is None else max(now, self._last + spacing)
        self._due = due if self._due is None else min(self._due, due)

    @property
    def due(self) -> float | None:
        """When the next one may go out; None if nobody wants one."""
        return self._due

    def take(self, now: float) -> bool:
        """Whether the frame about to be encoded is to be a key frame; wishes so far are granted by it."""
        if self._due is None or now < self._due:
            return False
        self.sent(now)
        return True

    def sent(self, now: float) -> None:
        """A key frame went out, whoever wanted it: a new encoder begins with one."""
        self._due, self._last = None, now
