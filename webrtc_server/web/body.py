"""A request's body, as a checked model or as text. Every handler that takes one reads it here."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from webrtc_server.limits import JSON_BYTES
from webrtc_server.protocol.error_codes import ClientError, Code
from webrtc_server.protocol.json_guard import parse_object

ANY = "*"  # as If-Match; aiohttp makes it a tag of that value
BODY_TIMEOUT = 10.0  # seconds to send a body

M = TypeVar("M", bound=BaseModel)


def preconditions(request: web.Request) -> set[str] | None:
    """What If-Match names (RFC 9110 section 13.1.1), None where everything will do. Weak tags never match."""
    if "If-Match" not in request.headers:
        return None
    tags = {tag.value for tag in request.if_match or () if not tag.is_weak}
    return None if ANY in tags else tags


async def read_object(request: web.Request, limit: int = JSON_BYTES) -> dict[str, Any]:
    """The body as an object. Raises ClientError `unsupported_media_type`, `too_large`, `bad_message`."""
    if request.content_type != "application/json":
        raise ClientError(Code.UNSUPPORTED_MEDIA_TYPE)
    return parse_object(await _read(request, limit), limit)


async def read_text(request: web.Request, content_type: str, limit: int) -> str:
    """The body as text. Raises ClientError `unsupported_media_type`, `too_large`, `bad_message`."""
    if request.content_type != content_type:
        fix = f"Send Content-Type: {content_type}."
        raise ClientError(Code.UNSUPPORTED_MEDIA_TYPE, f"The body is not {content_type}.", fix)
    body = await _read(request, limit)
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise ClientError(Code.BAD_MESSAGE, "The body is no UTF-8 text.") from None


async def _read(request: web.Request, limit: int) -> bytes:
    if (request.content_length or 0) > limit:
        raise ClientError(Code.TOO_LARGE, f"The body has more than {limit // 1024} KiB.")
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            return await request.read()
    except TimeoutError:
        raise ClientError(Code.BAD_MESSAGE, "The body did not come in time.") from None
    except web.RequestPayloadError:
        raise ClientError(Code.BAD_MESSAGE, "The body is not encoded as its headers say.") from None


async def read_model(request: web.Request, model: type[M], limit: int = JSON_BYTES) -> M:
    """The body as a `model`. Raises ClientError as `read_object` does, and `bad_message` naming the bad fields."""
    value = await read_object(request, limit)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        fields = tuple((".".join(map(str, item["loc"]))[:100], item["msg"]) for item in error.errors()[:20])
        raise ClientError(Code.BAD_MESSAGE, "The body is not as it should be.", fields=fields) from None
