"""What the server can paint with: which pipelines, which by default, on what, and why; which models. Shared by all."""

from __future__ import annotations

from pipeline import registry
from pipeline.settings import Settings
from pipeline.worker.supervisor import Supervisor, WorkerState
from webrtc_server.policy.capacity import PaintingCost
from webrtc_server.protocol.error_codes import Code, known
from webrtc_server.sessions.models import Models


class Painters:
    """Follows the supervisor: a pipeline that the worker could not load is not offered, nor used by default."""

    def __init__(self, supervisor: Supervisor, default: str, reason: str, model: str | None = None) -> None:
        """`model` is the operator's choice of one, if there is any."""
        self.supervisor = supervisor
        self.default = default
        self.reason = f"{registry.ENTRIES[default].title}: {reason}."
        self.available = registry.available(default)
        self.cost = PaintingCost()
        self.ever_ready = False
        self.failure: str | None = None  # why nothing can be painted; stays while it is tried again
        self.failure_code = Code.MODEL_LOAD_FAILED
        self._devices: dict[str, str] = {}  # of the pipelines that were loaded when the worker was last ready
        supervisor.subscribe(self._on_worker)
        self.models = Models(supervisor, self.available, model)

    def device(self, pipeline: str) -> str:
        """What `pipeline` paints on, in words; empty until it was loaded for the first time."""
        return self._devices.get(pipeline, "")

    def why(self, pipeline: str) -> str:
        """Why a session is painted by `pipeline`: a sentence for its user, empty if they chose it themselves."""
        return self.reason if pipeline == self.default else ""

    def defaults(self, settings: Settings) -> Settings:
        """`settings` with the pipeline that is really there."""
        return settings.model_copy(update={"pipeline": self.default})

    def _on_worker(self, state: WorkerState) -> None:
        if state.phase == "failed":
            self.failure, self.failure_code = state.message, known(state.code)
        if state.phase != "ready" or state.pipeline is None:
            return
        self.ever_ready, self.failure, self._devices = True, None, state.devices
        for name, why in state.failures.items():
            self.available.pop(name, None)
            if name == self.default:
                title = registry.ENTRIES[state.pipeline].title
                self.default = state.pipeline
                self.reason = f"{title}: {name} could not be loaded ({why})."
