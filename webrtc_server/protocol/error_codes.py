"""Every error a client can get: its code, what to do, its HTTP status and its WebSocket close code. Pure.

A code's text here is what is said when nobody knows better; most errors bring a message of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    BAD_MESSAGE = "bad_message"
    TOO_LARGE = "too_large"
    UNKNOWN_TYPE = "unknown_type"
    INVALID_SETTINGS = "invalid_settings"
    APPLY_FAILED = "apply_failed"
    BAD_IMAGE = "bad_image"
    FRAME_TOO_LARGE = "frame_too_large"
    BAD_SDP = "bad_sdp"
    NO_VIDEO = "no_video"
    NO_COMMON_CODEC = "no_common_codec"
    CAPACITY = "capacity"
    RATE_LIMITED = "rate_limited"
    DRAINING = "draining"
    SESSION_ENDED = "session_ended"
    UNAUTHORIZED = "unauthorized"
    HOST_DENIED = "host_denied"
    ORIGIN_DENIED = "origin_denied"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    PRECONDITION_FAILED = "precondition_failed"
    NO_ICE_RESTART = "no_ice_restart"
    UPGRADE_REQUIRED = "upgrade_required"
    UNKNOWN_MODEL = "unknown_model"
    MODEL_LOAD_FAILED = "model_load_failed"
    MODEL_LOADING = "model_loading"
    GPU_OOM = "gpu_oom"
    WORKER_RESTARTING = "worker_restarting"
    WORKER_STALLED = "worker_stalled"
    NO_INPUT = "no_input"
    ICE_FAILED = "ice_failed"
    NOT_FOUND = "not_found"
    INTERNAL = "internal"


@dataclass(frozen=True)
class Row:
    """`close` is the WebSocket close code where the error ends the socket (RFC 6455 section 7.4)."""

    message: str
    fix: str
    status: int
    retryable: bool = False
    close: int = 1011


TABLE: dict[Code, Row] = {
    Code.BAD_MESSAGE: Row(
        "The message is not one this server understands.",
        'Send a JSON object {"type": "...", "data": {...}} as the protocol describes.',
        400,
        close=1007,
    ),
    Code.TOO_LARGE: Row("The message is too large.", "Send at most 64 KiB of JSON, 8 MiB of picture.", 413, close=1009),
    Code.UNKNOWN_TYPE: Row(
        "There is no message of this type.",
        "Use one of: settings, get_status, subscribe_stats, load_model, ping.",
        400,
        close=1007,
    ),
    Code.INVALID_SETTINGS: Row(
        "The settings were not changed: some of them are not valid.", "Correct the fields named.", 400, close=1008
    ),
    Code.APPLY_FAILED: Row(
        "The settings are valid, but the pipeline could not put them into force.", "Try other values.", 500
    ),
    Code.BAD_IMAGE: Row("The picture cannot be read.", "Send a whole JPEG or PNG file.", 400, True, 1008),
    Code.FRAME_TOO_LARGE: Row(
        "The picture is too large.", "Send at most 1920x1080 pixels, and no side over 2048.", 413, close=1009
    ),
    Code.BAD_SDP: Row("The offer cannot be read.", "Send a complete SDP offer from a WebRTC stack.", 400),
    Code.NO_VIDEO: Row(
        "The offer sends no video.", "Offer at least one video section that is sendrecv or sendonly.", 400
    ),
    Code.NO_COMMON_CODEC: Row(
        "The offer has no video codec in common with this server.", "Offer VP8 or H.264 (constrained baseline).", 406
    ),
    Code.CAPACITY: Row("All places are taken.", "Try again in a few seconds.", 503, True, 1013),
    Code.RATE_LIMITED: Row("Too many messages.", "Send at most 50 messages a second.", 429, True, 1008),
    Code.DRAINING: Row("The server is about to stop.", "Try again in a few seconds.", 503, True, 1012),
    Code.SESSION_ENDED: Row(
        "This session was ended by its owner, or by a newer one of the same client.",
        "Start a new session.",
        410,
        close=1000,
    ),
    Code.UNAUTHORIZED: Row(
        "This server asks for a token.",
        "Send Authorization: Bearer and the token its operator gave you.",
        401,
        close=1008,
    ),
    Code.HOST_DENIED: Row(
        "The server does not go by this name.",
        "Use its IP address or localhost, or have its operator add the name to LIVE_DIFFUSION_ALLOWED_HOSTS.",
        403,
        close=1008,
    ),
    Code.ORIGIN_DENIED: Row(
        "Pages of this origin may not use the server.",
        "Open the server's own page, or allow the origin.",
        403,
        close=1008,
    ),
    Code.UNSUPPORTED_MEDIA_TYPE: Row("The body is not JSON.", "Send Content-Type: application/json.", 415),
    Code.PRECONDITION_FAILED: Row(
        "It is not in the version any more that the request is for.", "Send the ETag of the last answer, or none.", 412
    ),
    Code.NO_ICE_RESTART: Row("An ICE restart is not possible.", "Start a new session.", 422),
    Code.UPGRADE_REQUIRED: Row("This address speaks WebSocket only.", "Open it with a WebSocket client.", 426),
    Code.UNKNOWN_MODEL: Row("There is no such model here.", "Use a key that GET /api/models lists.", 404),
    Code.MODEL_LOAD_FAILED: Row("The model could not be loaded.", "See the server's log.", 503, True),
    Code.MODEL_LOADING: Row("A model is being loaded already.", "Wait until it is ready.", 409, True),
    Code.GPU_OOM: Row(
        "The graphics card has not enough memory for this picture.", "Choose a smaller size or fewer steps.", 503, True
    ),
    Code.WORKER_RESTARTING: Row("The picture process is being started again.", "Wait a moment.", 503, True),
    Code.WORKER_STALLED: Row("The picture process does not answer.", "Wait a moment.", 503, True),
    Code.NO_INPUT: Row("No picture has come from the camera for a while.", "Check the camera.", 409, True, 1000),
    Code.ICE_FAILED: Row(
        "The video link could not be opened.", "Let UDP through the firewall, or set up a TURN server.", 504, True
    ),
    Code.NOT_FOUND: Row("There is no such thing here.", "Check the address.", 404),
    Code.INTERNAL: Row("The server made a mistake.", "Try again; if it stays, please report it.", 500, True),
}


class ClientError(Exception):
    """A client's mistake, or bad luck, that it is told of: a code, a message and a fix, and the bad fields if any."""

    def __init__(
        self,
        code: Code,
        message: str = "",
        fix: str = "",
        fields: tuple[tuple[str, str], ...] = (),
        retry_after: int = 0,
    ) -> None:
        row = TABLE[code]
        self.code = code
        self.row = row
        self.message = message or row.message
        self.fix = fix or row.fix
        self.fields = fields
        self.retry_after = retry_after  # seconds; 0: nothing to say
        super().__init__(f"{code}: {self.message}")


def known(code: str) -> Code:
    """The code of that name, `internal` for one that is in no table (a back end of somebody else's)."""
    try:
        return Code(code)
    except ValueError:
        return Code.INTERNAL
