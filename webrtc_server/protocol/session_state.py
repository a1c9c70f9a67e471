"""The state of a session as its user sees it, derived from the facts. Pure.

There is no state to get stuck in: what is told is worked out anew from the worker's condition and the input's.

    worker ready,  input flowing      running
    worker ready,  no input           no_input
    worker loading for the first time loading
    worker ended, a new one starts    passthrough   worker_restarting
    worker cannot start               degraded      model_load_failed
    ended by the server               closed        draining: come back soon; session_ended: do not
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.worker.messages import Loading
from webrtc_server.protocol.error_codes import Code
from webrtc_server.protocol.messages import State


@dataclass(frozen=True)
class Facts:
    """What is known of a session and its worker."""

    worker_connected: bool
    worker_failed: str | None  # what the worker said when it could not start
    worker_ever_ready: bool
    progress: Loading | None
    has_input: bool
    ever_had_input: bool
    closed: bool = False
    close_reason: Code | None = None
    retry_in: float | None = None


@dataclass(frozen=True)
class Condition:
    """`reason` is an error code, or None where nothing is wrong."""

    state: State
    reason: Code | None
    message: str
    progress: Loading | None = None
    retry_in: float | None = None


def derive(facts: Facts) -> Condition:
    if facts.closed:
        return Condition("closed", facts.close_reason, "The session has ended.")
    if facts.worker_failed is not None:
        message = f"No pipeline could be loaded ({facts.worker_failed}). You see your camera."
        return Condition("degraded", Code.MODEL_LOAD_FAILED, message, retry_in=facts.retry_in)
    if not facts.worker_connected and facts.worker_ever_ready:
        message = "The picture process is being started again. You see your camera meanwhile."
        return Condition("passthrough", Code.WORKER_RESTARTING, message, facts.progress, facts.retry_in)
    if not facts.worker_connected:
        message = "The pipeline is being loaded. You see your camera meanwhile."
        return Condition("loading", None, message, facts.progress)
    if facts.ever_had_input and not facts.has_input:
        return Condition("no_input", Code.NO_INPUT, "No picture has come from the camera for a while.")
    return Condition("running", None, "")
