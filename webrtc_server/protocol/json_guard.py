"""Text from a client to a JSON object, with everything refused that JSON parsers let through. Pure.

Refused beside bad syntax: NaN, Infinity and numbers that become it, duplicate keys, nesting deeper than 16, more than
64 KiB, half surrogate pairs (they cannot be written as UTF-8 again), other encodings, and anything that is no object.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from webrtc_server.limits import JSON_BYTES, JSON_DEPTH
from webrtc_server.protocol.error_codes import ClientError, Code


def parse_object(text: str | bytes, limit: int = JSON_BYTES) -> dict[str, Any]:
    """The object that `text` holds. Raises ClientError `too_large` or `bad_message`."""
    if len(text) > limit or (isinstance(text, str) and len(text.encode("utf-8", "replace")) > limit):
        raise ClientError(Code.TOO_LARGE, f"The message has more than {limit // 1024} KiB.")
    try:
        if isinstance(text, bytes):
            text = text.decode()  # here, for json.loads would guess at UTF-16 and UTF-32 too
        value = json.loads(text, parse_float=_finite, parse_constant=_refuse_constant, object_pairs_hook=_unique)
        json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise _bad("it is nested too deep") from None
    except UnicodeError:
        raise _bad("it is not valid Unicode") from None
    except ValueError as error:
        raise _bad(str(error)) from None
    if not isinstance(value, dict):
        raise _bad("it is not an object")
    if _depth(value) > JSON_DEPTH:
        raise _bad("it is nested too deep")
    return value


def _bad(reason: str) -> ClientError:
    return ClientError(Code.BAD_MESSAGE, f"The message is not valid JSON for this server: {reason[:200]}.")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("an object has the same key twice")
    return result


def _depth(value: object) -> int:
    """Levels of nesting, counted level by level so that no input can exhaust the stack."""
    level, depth = [value], 0
    while level:
        depth += any(isinstance(item, dict | list) for item in level)
        level = [child for item in level if isinstance(item, dict | list) for child in _children(item)]
    return depth


def _children(item: dict[str, object] | list[object]) -> list[object]:
    return list(item.values()) if isinstance(item, dict) else item
