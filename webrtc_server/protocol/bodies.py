"""The JSON bodies of the HTTP routes, as models: what is asked and what is answered. Pure.

The settings' own bodies are in `pipeline/settings.py` and `messages.py`; what each route takes and gives stands at the
route (`web/routes.py`), and both make the OpenAPI document.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from webrtc_server.limits import CLIENT_ID_LENGTH
from webrtc_server.protocol.error_codes import ClientError, Code
from webrtc_server.protocol.messages import ErrorData, FieldProblem

SCHEMAS = "#/components/schemas/"  # where models stand in the documents
CLIENT_ID_LIMITS: dict[str, JsonValue] = {"minLength": 1, "maxLength": CLIENT_ID_LENGTH}  # checked by the manager
CLIENT_ID_TEXT = "A text of your choice, and a secret: the next session with it takes this one's place."


class OfferBody(BaseModel):
    """A complete SDP offer, and what the session starts with."""

    model_config = ConfigDict(strict=True, extra="forbid")

    sdp: str = Field(description="A complete offer (RFC 9429): no candidates follow it, and it needs none.")
    type: Literal["offer"]
    settings: dict[str, Any] | None = Field(default=None, description="Any of the settings of a session.")
    client_id: str | None = Field(default=None, description=CLIENT_ID_TEXT, json_schema_extra=CLIENT_ID_LIMITS)


class OfferAnswer(BaseModel):
    sdp: str
    type: Literal["answer"] = "answer"
    session_id: str = Field(description="A secret: whoever has it controls the session.")
    view_id: str = Field(description="Whoever has it may watch the session, and do nothing else.")


class SessionEnded(BaseModel):
    ended: Literal[True] = True


class ViewToken(BaseModel):
    view_token: str = Field(description="A bearer token that grants watching this session only.")
    expires_in_s: int
    url: str = Field(description="The viewer's page, with the token behind the # that browsers keep to themselves.")


class ServerStatus(BaseModel):
    """What the server paints with and why, and how full it is. Of no user in particular."""

    state: Literal["running", "loading", "degraded"]
    pipeline: str
    reason: str = Field(description="Why this pipeline is the default.")
    pipelines: dict[str, str] = Field(description="Those that clients may choose, each with its title.")
    device: str = Field(description="What the default pipeline paints on; empty until it was loaded.")
    model: str | None
    models: list[str] = Field(description="The keys that `load_model` takes.")
    sessions: int
    max_sessions: int = Field(description="How many are painted at a time.")
    queued: int
    worker_restarts: int
    version: str


class ModelChoice(BaseModel):
    key: str
    title: str
    licence: str
    notice: str = Field(description="What its licence asks to be shown.")
    steps: int | None
    cfg_type: str | None
    loaded: bool


class ModelList(BaseModel):
    models: list[ModelChoice]


def _is_none(value: object) -> bool:
    return value is None


class IceServerEntry(BaseModel):
    """As `RTCIceServer` of the WebRTC recommendation."""

    urls: list[str]
    username: str | None = Field(default=None, exclude_if=_is_none)
    credential: str | None = Field(default=None, exclude_if=_is_none)


class IceServerList(BaseModel):
    """As `RTCConfiguration` takes it."""

    iceServers: list[IceServerEntry]


class Version(BaseModel):
    version: str
    protocol: int


class LoopLag(BaseModel):
    """How late the event loop was over the last minute, in milliseconds; null before the first tick."""

    p50: float | None
    p99: float | None


class Health(BaseModel):
    status: Literal["ok", "stalled"]
    tick_age_s: float
    loop_lag_ms: LoopLag


class NotReady(BaseModel):
    code: Code
    detail: str


class Readiness(BaseModel):
    """Whether a new session would be taken and painted now; if not, why."""

    ready: bool
    reasons: list[NotReady]


class Problem(BaseModel):
    """An error (RFC 9457), with the members of the protocol's own `error` message beside the standard ones."""

    type: str = Field(description="Where the code is explained.")
    title: str
    status: int
    detail: str = Field(description="What happened.")
    code: Code
    fix: str = Field(description="What to do about it.")
    fields: list[FieldProblem]
    retryable: bool = Field(description="Whether the same request may succeed later.")

    @classmethod
    def of(cls, error: ClientError, status: int | None = None) -> Problem:
        """`status` is the code's own, if none is given."""
        data = ErrorData.of(error)
        return cls(
            type=f"/docs/errors#{error.code}",
            title=error.row.message,
            status=status or error.row.status,
            detail=data.message,
            code=data.code,
            fix=data.fix,
            fields=data.fields,
            retryable=data.retryable,
        )
