"""The back ends of one worker, each loaded once, when first asked for, by one loading thread.

The painting thread never waits here: it asks `get`, and is told by a callback when a load has ended. A back end with
another model is made beside the one on the shelf, and takes its place when the painting thread says so.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from pipeline import registry
from pipeline.backend import Backend, Report
from pipeline.errors import BackendUnavailable, PipelineError
from pipeline.worker.proof import prove

logger = logging.getLogger(__name__)

Make = Callable[[str, str | None], Backend[Any]]


class Shelf:
    def __init__(
        self,
        make: Make = registry.make,
        model: str | None = None,
        loaded: Callable[[Backend[Any]], None] = lambda backend: None,
        announce: Callable[[Callable[[], object]], object] = lambda begin: begin(),
    ) -> None:
        """`model` is what pipelines with models are loaded with; `loaded` is told, in the loading thread, of each back
        end that was loaded because `get` was asked for it. `announce` is given what begins such a load, to call it in a
        thread of its choice once it has told of it."""
        self._make = make
        self._model = model
        self._tell_loaded = loaded
        self._announce = announce
        self._beside: Future[Backend[Any]] | None = None
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
            backend = self._made(name, self._model, report)
        except PipelineError as error:
            # Not that very error: its traceback would hold what there is of the model. And a device that fails now
            # costs this pipeline, not the process, which others may paint in.
            self._failed[name] = BackendUnavailable(error.message, error.fix)
            raise
        with self._lock:
            self._loaded[name] = backend
        return backend

    def _made(self, name: str, model: str | None, report: Report) -> Backend[Any]:
        """A new back end, loaded. Raises PipelineError."""
        try:
            backend = self._make(name, model)
            backend.load(report)
        except PipelineError:
            raise
        except Exception as error:  # a back end is foreign code: whatever it raises, the worker goes on without it
            raise BackendUnavailable(f"{name} could not be loaded: {type(error).__name__}: {error}") from error
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
        self._announce(lambda: self._loader.submit(self._load_aside, name, when_ended))
        return None

    @property
    def is_loading(self) -> bool:
        """Whether the loading thread is at work, or will be in a moment."""
        return bool(self._loading) or (self._beside is not None and not self._beside.done())

    def _load_aside(self, name: str, when_ended: Callable[[], None]) -> None:
        try:
            self._tell_loaded(self.load(name, lambda progress: None))
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
        return {name: error.public for name, error in self._failed.items()}

    # Another model

    def load_beside(self, name: str, model: str, report: Report) -> Future[Backend[Any]]:
        """A back end with `model`, loaded and proven in the loading thread; not on the shelf yet. Fails with
        PipelineError, and leaves nothing behind then."""
        self._beside = self._loader.submit(self._load_and_prove, name, model, report)
        return self._beside

    def _load_and_prove(self, name: str, model: str, report: Report) -> Backend[Any]:
        backend = self._made(name, model, report)
        try:
            prove(backend)
        except PipelineError:
            _close(backend)
            raise
        return backend

    def put(self, backend: Backend[Any], model: str) -> Backend[Any] | None:
        """From now on `get` answers `backend`; the one that has its name until now, if there is one, is returned."""
        with self._lock:
            old = self._loaded.get(backend.name)
            self._loaded[backend.name], self._model = backend, model
            self._failed.pop(backend.name, None)
        return old

    def discard(self, backend: Backend[Any]) -> None:
        """Close it, in the loading thread. Nothing uses it any more."""
        self._loader.submit(_close, backend)

    def close(self) -> None:
        self._loader.shutdown(cancel_futures=True)
        for backend in self._loaded.values():
            backend.close()


def _close(backend: Backend[Any]) -> None:
    try:
        backend.close()
    except Exception:  # foreign code, and it is gone anyhow
        logger.exception("%s could not be closed", backend.name)
