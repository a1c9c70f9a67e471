"""The messages of the control protocol, as models: what a client may say and what it is told. Pure.

The DataChannel `control` and the text frames of `/ws` carry the same JSON: an envelope of `type`, `data` and the
client's own `id`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from webrtc_server.limits import MESSAGE_ID_CHARS, MODEL_KEY_CHARS
from webrtc_server.protocol.error_codes import ClientError, Code

MessageId = Annotated[str, Field(min_length=1, max_length=MESSAGE_ID_CHARS)]


class _Incoming(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class Nothing(_Incoming):
    pass


class SubscribeStatsData(_Incoming):
    interval_s: float | None = Field(ge=0.5, le=10)


class LoadModelData(_Incoming):
    model: str = Field(min_length=1, max_length=MODEL_KEY_CHARS)


class PingData(_Incoming):
    t: float


class SettingsMessage(_Incoming):
    """Any subset of the settings. They are checked against the session's own, in `pipeline.settings.merge`."""

    type: Literal["settings"]
    data: dict[str, Any] = Field(default_factory=dict)
    id: MessageId | None = None


class GetStatusMessage(_Incoming):
    type: Literal["get_status"]
    data: Nothing = Nothing()
    id: MessageId | None = None


class SubscribeStatsMessage(_Incoming):
    type: Literal["subscribe_stats"]
    data: SubscribeStatsData
    id: MessageId | None = None


class LoadModelMessage(_Incoming):
    type: Literal["load_model"]
    data: LoadModelData
    id: MessageId | None = None


class PingMessage(_Incoming):
    type: Literal["ping"]
    data: PingData
    id: MessageId | None = None


ClientMessage = SettingsMessage | GetStatusMessage | SubscribeStatsMessage | LoadModelMessage | PingMessage
CLIENT_TYPES: dict[type[BaseModel], str] = {
    SettingsMessage: "settings",
    GetStatusMessage: "get_status",
    SubscribeStatsMessage: "subscribe_stats",
    LoadModelMessage: "load_model",
    PingMessage: "ping",
}
_client_message: TypeAdapter[ClientMessage] = TypeAdapter(Annotated[ClientMessage, Field(discriminator="type")])


def parse_message(value: dict[str, Any]) -> ClientMessage:
    """Raises ClientError `unknown_type`, or `bad_message` with the bad fields."""
    try:
        return _client_message.validate_python(value)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        if any(problem["type"] in ("union_tag_invalid", "union_tag_not_found") for problem in problems):
            if isinstance(value.get("type"), str):
                raise ClientError(Code.UNKNOWN_TYPE) from None
            raise ClientError(Code.BAD_MESSAGE, "The message has no type.") from None
        fields = tuple((".".join(map(str, item["loc"][1:]))[:100], item["msg"]) for item in problems[:20])
        raise ClientError(Code.BAD_MESSAGE, fields=fields) from None


def message_id(value: dict[str, Any]) -> str | None:
    """The client's own id, wherever it can be read."""
    given = value.get("id")
    return given if isinstance(given, str) and 1 <= len(given) <= MESSAGE_ID_CHARS else None


State = Literal["queued", "loading", "running", "passthrough", "degraded", "no_input", "draining", "closed"]


class ProgressData(BaseModel):
    stage: str
    done: int
    total: int
    unit: str
    eta_s: float | None = None


class StatusData(BaseModel):
    """How the session is; sent first on every connection and at every change."""

    protocol: int = 1
    session_id: str
    view_id: str
    state: State
    place: int | None = None  # in line; 1 is next
    wait_s: float | None = None  # in line: until its turn, estimated; null while there is nothing to base it on
    reason: str | None
    message: str
    since: float
    retry_in_s: float | None = None
    progress: ProgressData | None = None
    pipeline: str
    pipelines: list[str]
    device: str
    model: str | None = None
    models: list[str] = []
    settings: dict[str, Any]
    settings_version: int
    notes: list[str] = []


class SettingsAppliedData(BaseModel):
    version: int
    settings: dict[str, Any]
    changed: list[str]
    rebuilding: list[str]
    notes: list[str]


class FieldProblem(BaseModel):
    field: str
    message: str


class ErrorData(BaseModel):
    code: Code
    message: str
    fix: str
    fields: list[FieldProblem]
    retryable: bool

    @classmethod
    def of(cls, error: ClientError) -> ErrorData:
        fields = [FieldProblem(field=field, message=message) for field, message in error.fields]
        return cls(code=error.code, message=error.message, fix=error.fix, fields=fields, retryable=error.row.retryable)


class ProcessedFrameData(BaseModel):
    """Describes the binary message that follows it on `/ws`."""

    seq: int
    input_seq: int
    width: int
    height: int
    format: Literal["jpeg", "png"]
    bytes: int
    settings_version: int
    dropped: int
    processed: bool
    timings_ms: dict[str, float]


class StatsSubscribedData(BaseModel):
    interval_s: float | None


class Percentiles(BaseModel):
    p50: float | None
    p95: float | None


class StatsData(BaseModel):
    """Counters since the session began, and times in milliseconds over the last frames."""

    frames: dict[str, int]
    dropped: dict[str, int]
    stages_ms: dict[str, Percentiles]
    queues: dict[str, int]
    fps_in: float
    fps_out: float
    worker_restarts: int
    transport: dict[str, float | None]


class PongData(BaseModel):
    t: float
    server_time: float


ServerData = (
    StatusData | SettingsAppliedData | ErrorData | ProcessedFrameData | StatsSubscribedData | StatsData | PongData
)
SERVER_TYPES: dict[type[BaseModel], str] = {
    StatusData: "status",
    SettingsAppliedData: "settings_applied",
    ErrorData: "error",
    ProcessedFrameData: "processed_frame",
    StatsSubscribedData: "stats_subscribed",
    StatsData: "stats",
    PongData: "pong",
}


class _Envelope(BaseModel):
    type: str
    data: Any
    id: str | None = None


def encode(data: ServerData, reply_to: str | None = None) -> str:
    """The whole message as JSON; `reply_to` is the client's id, echoed."""
    envelope = _Envelope(type=SERVER_TYPES[type(data)], data=data, id=reply_to)
    return envelope.model_dump_json(exclude={"id"} if reply_to is None else None)
