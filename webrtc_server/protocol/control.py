"""The control protocol of one connection: text in, requests and replies out. Pure: the time is an argument.

It checks, counts and merges; it knows no session and applies nothing. Above the rate limit settings wait, merged
(the newest value of each key wins, one confirmation), and everything else is dropped with at most one error a second.
Bad JSON and bad settings are mistakes, however many. A message that is too large, or of the wrong kind, is a violation:
no honest client sends one, and a few of them end the session.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from webrtc_server.limits import MESSAGES_BURST, MESSAGES_PER_SECOND, VIOLATIONS
from webrtc_server.policy.token_bucket import TokenBucket
from webrtc_server.protocol.error_codes import ClientError, Code
from webrtc_server.protocol.json_guard import parse_object
from webrtc_server.protocol.messages import (
    ClientMessage,
    ErrorData,
    PingMessage,
    PongData,
    ServerData,
    SettingsMessage,
    message_id,
    parse_message,
)


@dataclass(frozen=True)
class Reply:
    """Send this back at once."""

    data: ServerData
    id: str | None = None


@dataclass(frozen=True)
class HangUp:
    """End the session: the client did once too often what no honest one does."""

    code: Code


Outcome = Reply | HangUp | ClientMessage


class ControlProtocol:
    def __init__(self) -> None:
        self._bucket = TokenBucket(MESSAGES_PER_SECOND, MESSAGES_BURST)
        self._complaints = TokenBucket(1, 1)
        self._held: SettingsMessage | None = None
        self._violations = 0

    def receive(self, text: str, now: float) -> list[Outcome]:
        """What to do about a text message, in order. Never raises."""
        if not self._bucket.take(now):
            return self._above_rate(text, now)
        given_id = None
        try:
            value = parse_object(text)
            given_id = message_id(value)
            message = parse_message(value)
        except ClientError as error:
            answer: list[Outcome] = [*self._release(), Reply(ErrorData.of(error), given_id)]
            return answer + self._violated(error.code) if error.code is Code.TOO_LARGE else answer
        if isinstance(message, PingMessage):
            return [*self._release(), Reply(PongData(t=message.data.t, server_time=now), message.id)]
        if isinstance(message, SettingsMessage):
            return [self._with_held(message)]
        return [*self._release(), message]

    def receive_binary(self) -> list[Outcome]:
        """What to do about a binary message where only texts belong."""
        message = "Binary messages are not taken on this channel: the video track carries the pictures."
        return [Reply(ErrorData.of(ClientError(Code.BAD_MESSAGE, message))), *self._violated(Code.BAD_MESSAGE)]

    def _violated(self, code: Code) -> list[Outcome]:
        self._violations += 1
        return [HangUp(code)] if self._violations >= VIOLATIONS else []

    def deadline(self, now: float) -> float | None:
        """When `due` is to be called, or None if nothing waits."""
        return self._bucket.next_token(now) if self._held else None

    def due(self, now: float) -> list[Outcome]:
        """The settings that waited for the rate limit, once it allows them."""
        if self._held is None or not self._bucket.take(now):
            return []
        return self._release()

    def _above_rate(self, text: str, now: float) -> list[Outcome]:
        try:
            message = parse_message(parse_object(text))
        except ClientError as error:
            if error.code is Code.TOO_LARGE and (hang_up := self._violated(error.code)):
                return hang_up
            message = None
        if isinstance(message, SettingsMessage):
            self._held = self._with_held(message)
            return []
        return [Reply(ErrorData.of(ClientError(Code.RATE_LIMITED)))] if self._complaints.take(now) else []

    def _with_held(self, message: SettingsMessage) -> SettingsMessage:
        if self._held is None:
            return message
        held, self._held = self._held, None
        return SettingsMessage(type="settings", data=_newest(held.data, message.data), id=message.id or held.id)

    def _release(self) -> list[Outcome]:
        if self._held is None:
            return []
        held, self._held = self._held, None
        return [held]


def _newest(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """`new` over `old`. prompt and prompts stand for one thing, so the newer of them ends the older."""
    stale = {"prompt": "prompts", "prompts": "prompt"}
    return {key: value for key, value in old.items() if stale.get(key) not in new} | new
