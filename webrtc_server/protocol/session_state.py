"""The state of a session as its user sees it, derived from the facts. Pure.

There is no state to get stuck in: what is told is worked out anew from the worker's condition and the input's.

    worker ready,  input flowing      running, also while another model is loaded beside the one that paints
    worker ready,  no input           no_input, also while the worker is freed of the session
    no place free                     queued
    settings that nothing can paint   passthrough   apply_failed, or loading while a model is being loaded
    worker loading for the first time loading
    worker stalled: nothing comes     passthrough   worker_stalled
    worker ended, a new one starts    passthrough   worker_restarting
    worker cannot start               degraded      model_load_failed
    worker ends again and again       degraded      worker_restarting
    the server is about to stop       draining      pictures go on as they are until it does
    ended by the server               closed        draining: come back soon; session_ended: do not
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from pipeline.worker.messages import Loading
from webrtc_server.protocol.error_codes import Code
from webrtc_server.protocol.messages import State

CAMERA = "You see your camera."
DRAINING = "The server is about to stop, and will end this session. Until then your picture goes on."
NO_INPUT = "No picture has come from the camera for a while."


@dataclass(frozen=True)
class Facts:
    """What is known of a session and its worker."""

    worker_connected: bool  # or about to be, as soon as there is something to paint
    worker_failed: str | None  # what the worker said when it could not start, or that it ends again and again
    worker_ever_ready: bool
    progress: Loading | None  # of the worker's start, or of `switching`
    has_input: bool
    ever_had_input: bool
    worker_failure_code: Code = Code.MODEL_LOAD_FAILED
    worker_stalled: bool = False
    closed: bool = False
    close_reason: Code | None = None
    draining: bool = False  # the server is about to stop
    retry_in: float | None = None
    switching: str | None = None  # title of the model that is being loaded beside what paints
    switching_mine: bool = False  # whether it is to take the place of what paints this session
    painted: bool = True  # the worker has put this session's settings into force
    refusal: str | None = None  # why nothing can paint with these settings
    load_failure: str | None = None  # a sentence about the model that was to be loaded last
    place: int | None = None  # in line for a place


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
    if facts.draining:
        return Condition("draining", Code.DRAINING, DRAINING)
    if facts.worker_failed is not None and facts.worker_failure_code == Code.WORKER_RESTARTING:
        message = f"The picture process keeps ending, and is tried again now and then: {facts.worker_failed} {CAMERA}"
        return Condition("degraded", Code.WORKER_RESTARTING, message, facts.progress, facts.retry_in)
    if facts.worker_failed is not None:
        message = f"No pipeline could be loaded ({facts.worker_failed}). You see your camera."
        return Condition("degraded", Code.MODEL_LOAD_FAILED, message, retry_in=facts.retry_in)
    if facts.place is not None:
        message = f"All places are taken. You are number {facts.place} in line, and see your camera meanwhile."
        return Condition("queued", None, message)
    if facts.refusal is not None and (facts.switching is None or not facts.worker_connected):
        return Condition("passthrough", Code.APPLY_FAILED, f"{facts.refusal} {CAMERA}")
    if facts.worker_stalled:
        message = f"The picture process does not answer; it is ended if it stays so. {CAMERA}"
        return Condition("passthrough", Code.WORKER_STALLED, message)
    if not facts.worker_connected and facts.worker_ever_ready:
        message = "The picture process is being started again. You see your camera meanwhile."
        return Condition("passthrough", Code.WORKER_RESTARTING, message, facts.progress, facts.retry_in)
    if not facts.worker_connected:
        message = "The pipeline is being loaded. You see your camera meanwhile."
        return Condition("loading", None, message, facts.progress)
    if facts.switching is not None:
        return _while_switching(facts, f"Loading {facts.switching}{progress_words(facts.progress)}.")
    if facts.ever_had_input and not facts.has_input:
        return Condition("no_input", Code.NO_INPUT, NO_INPUT)
    return Condition("running", None, facts.load_failure or "")


def _while_switching(facts: Facts, loading: str) -> Condition:
    if not facts.painted:
        return Condition("loading", None, f"{loading} You see your camera meanwhile.", facts.progress)
    if facts.ever_had_input and not facts.has_input:
        return Condition("no_input", Code.NO_INPUT, NO_INPUT, facts.progress)
    meanwhile = "The old model goes on painting." if facts.switching_mine else "Your picture goes on as it is."
    return Condition("running", None, f"{loading} {meanwhile}", facts.progress)


def progress_words(progress: Loading | None) -> str:
    """ ": download, 41 %, about 20 s left", as far as it is known; to follow what is being loaded."""
    if progress is None:
        return ""
    words = [progress.stage]
    if progress.total > 0:
        words.append(f"{100 * progress.done // progress.total} %")
    if progress.eta is not None:
        words.append(f"about {math.ceil(progress.eta)} s left")
    return f": {', '.join(words)}"
