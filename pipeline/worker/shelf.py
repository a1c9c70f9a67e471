"""The back ends of one worker, each loaded once, when first asked for, by one loading thread.

The painting thread never waits here: it asks `get`, and is told by a callback when a load has ended.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pipeline import registry
from pipeline.backend import Backend, Report
from pipeline.errors import BackendUnavailable, PipelineError


class Shelf:
    def __init__(self, make: Callable[[str], Backend[Any]] = registry.make) -> None:
        self._make = make
        self._loaded: dict[str, Backend[Any]] = {}
        self._failed: dict[str, PipelineError] = {}
        self._loading: set[str] = set()
        self._lock = threading.Lock()
        self._loader = ThreadPoolExecutor(1, "load")

    def load(self, name: str, report: Report) -> Backend[Any]:
        """Load now, in this thread. Raises PipelineError, and raises it again for the same name without a new try."""
        with self._lock:
            if name in self._loaded:
                return self._loaded[name]
            if name in self._failed:
                raise self._failed[name]
        try:
            backend = self._make(name)
            backend.load(report)
        except PipelineError as error:
            self._failed[name] = error
            raise
        except Exception as error:  # a back end is foreign code: whatever it raises, the worker goes on without it
            failure = BackendUnavailable(f"{name} could not be loaded: {type(error).__name__}: {error}")
            self._failed[name] = failure
            raise failure from error
        with self._lock:
            self._loaded[name] = backend
        return backend

    def get(self, name: str, when_ended: Callable[[], None]) -> Backend[Any] | None:
        """The back end, or None while it is being loaded: `when_ended` is called then. Raises PipelineError."""
        with self._lock:
            if name in self._loaded:
                return self._loaded[name]
            if name in self._failed:
                raise self._failed[name]
            if name in self._loading:
                return None
            self._loading.add(name)
        self._loader.submit(self._load_aside, name, when_ended)
        return None

    def _load_aside(self, name: str, when_ended: Callable[[], None]) -> None:
        try:
            self.load(name, lambda progress: None)
        except PipelineError:
            pass  # `get` raises it
        finally:
            with self._lock:
                self._loading.discard(name)
            when_ended()

    def give_up(self, name: str, error: PipelineError) -> None:
        """It was loaded, but cannot paint: from now on it counts as one that could not be loaded."""
        with self._lock:
            self._loaded.pop(name, None)
            self._failed[name] = error

    def failures(self) -> dict[str, str]:
        return {name: error.message for name, error in self._failed.items()}

    def close(self) -> None:
        self._loader.shutdown(cancel_futures=True)
        for backend in self._loaded.values():
            backend.close()
