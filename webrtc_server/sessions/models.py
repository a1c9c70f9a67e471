"""The models that clients may ask for by key, and the one load there can be at a time. Shared by all sessions.

A client never names a path: what is not in the catalogue is known here by the name of what the operator started with.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline import catalog, registry
from pipeline.catalog import ModelSpec
from pipeline.worker.supervisor import Supervisor, WorkerState
from webrtc_server.limits import FAILURE_SHOWN
from webrtc_server.observe.log import get_logger
from webrtc_server.protocol.error_codes import ClientError, Code, known
from webrtc_server.protocol.session_state import progress_words

MAX_REASON = 200  # characters of why a model could not be loaded; a library's error may hold pages

logger = get_logger(__name__)


@dataclass(frozen=True)
class Choice:
    """A model that can be loaded here; `wanted` is what the worker is told. Without `spec` it is the operator's own."""

    key: str
    title: str
    wanted: str
    spec: ModelSpec | None = None


@dataclass(frozen=True)
class _Wish:
    choice: Choice
    failed: Callable[[ClientError], None]


class Models:
    """Follows the supervisor. `available` are the pipelines that there are, live."""

    def __init__(self, supervisor: Supervisor, available: Mapping[str, str], own: str | None) -> None:
        """`own` is the operator's choice: a key, a folder or a repository of the model hub; None for the default."""
        self.notice = ""  # of the licence of what a client had loaded
        self._supervisor = supervisor
        self._available = available
        self._own = None if own is None or own in catalog.models() else Choice(_name(own), _name(own), own)
        self._wish: _Wish | None = None
        self._failure: tuple[float, str] | None = None  # when, and a sentence
        supervisor.subscribe(self._on_worker)

    @property
    def pipeline(self) -> str | None:
        """The one that has models, if it can be used here."""
        return next((name for name in self._available if registry.ENTRIES[name].has_models), None)

    @property
    def loaded(self) -> str | None:
        return self._supervisor.state.model

    @property
    def switching(self) -> Choice | None:
        """What is being loaded beside the model that paints."""
        return self._wish.choice if self._wish else None

    def choices(self) -> dict[str, Choice]:
        """By key, the catalogue's order; none where no pipeline has models."""
        if self.pipeline is None:
            return {}
        choices = {key: Choice(key, spec.title, key, spec) for key, spec in catalog.models().items()}
        if self._own:
            choices.setdefault(self._own.key, self._own)
        return choices

    def failure(self, now: float) -> str | None:
        """What became of the last wish if it failed a short while ago: a sentence for every user."""
        if self._failure is None or now - self._failure[0] > FAILURE_SHOWN:
            return None
        return self._failure[1]

    def load(self, key: str, failed: Callable[[ClientError], None]) -> None:
        """Begin to load it, beside what paints; nothing is done if it is there already. `failed` is told if it cannot
        be loaded in the end. Raises ClientError `unknown_model`, `model_loading` or `worker_restarting`."""
        choice = self._find(key)
        state = self._supervisor.state
        if state.phase == "ready" and key == state.model and self._wish is None:
            return
        if self._wish or state.phase == "loading":
            what = f"{self._wish.choice.title if self._wish else 'The pipeline'} is being loaded"
            raise ClientError(Code.MODEL_LOADING, f"{what}{progress_words(state.progress)}.")
        assert self.pipeline  # else there were no choices
        self._wish = _Wish(choice, failed)
        if not self._supervisor.load_model(self.pipeline, choice.wanted):
            self._wish = None
            raise ClientError(Code.WORKER_RESTARTING)

    def _find(self, key: str) -> Choice:
        choices = self.choices()
        if choice := choices.get(key):
            return choice
        if choices:
            raise ClientError(
                Code.UNKNOWN_MODEL, "There is no such model here.", f"Choose one of {', '.join(choices)}."
            )
        names = ", ".join(name for name, entry in registry.ENTRIES.items() if entry.has_models)
        message = f"Models belong to the pipeline {names}, which is not available here."
        raise ClientError(Code.UNKNOWN_MODEL, message, "Ask the server's operator, or use another pipeline.")

    def _on_worker(self, state: WorkerState) -> None:
        if self._own and state.model is not None and state.model not in catalog.models():
            self._own = replace(self._own, key=state.model, title=state.model)  # the worker knows its name best
        wish = self._wish
        if wish is None or state.switching is not None:
            return
        self._wish = None
        if state.load_failed:
            message = f"{wish.choice.title} could not be loaded: {state.load_failed.message[:MAX_REASON]}"
            self._failure = time.monotonic(), message
            logger.error("model not loaded", model=wish.choice.key, reason=state.load_failed.message)
            wish.failed(ClientError(known(state.load_failed.code), message, state.load_failed.fix))
            return
        self._failure = None
        spec = wish.choice.spec
        self.notice = spec.notice if spec else ""
        logger.info("model loaded", model=wish.choice.key, licence=spec.licence if spec else "", notice=self.notice)


def _name(own: str) -> str:
    """What users may see of the operator's choice: of a folder its own name, not where it lies."""
    folder = Path(own).expanduser()
    return folder.resolve().name if folder.is_dir() else own
