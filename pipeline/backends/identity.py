"""The smallest back end: gives back the very picture it got, at its own size. A bypass for users, a ruler for tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pipeline.backend import Report
from pipeline.errors import PipelineError
from pipeline.frame import Frame
from pipeline.settings import Settings


class Identity:
    name: ClassVar[str] = "identity"
    title: ClassVar[str] = "Identity (bypass)"
    ignores: ClassVar[frozenset[str]] = frozenset(Settings.model_fields) - {"pipeline"}
    rebuilds: ClassVar[frozenset[str]] = frozenset()
    batch_limit: ClassVar[int] = 1
    device = "cpu"
    model = None

    def load(self, report: Report) -> None:
        pass

    def new_state(self, settings: Settings) -> None:
        return None

    def apply(self, state: None, settings: Settings, changed: frozenset[str]) -> None:
        pass

    def notes(self, state: None) -> list[str]:
        return []

    def step(self, batch: Sequence[tuple[None, Frame]]) -> list[Frame | PipelineError]:
        return [frame for _, frame in batch]

    def close(self) -> None:
        pass
