"""A place for one thing. A newer one takes the place of an older one that nobody fetched, which is counted."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    def __init__(self) -> None:
        self.dropped = 0
        self._content: T | None = None

    def put(self, content: T) -> None:
        self.dropped += self._content is not None
        self._content = content

    def take(self) -> T | None:
        content, self._content = self._content, None
        return content

    def __len__(self) -> int:
        return int(self._content is not None)
