"""One session's talk with its client: text in, requests carried out in order, replies out.

What a text means is decided in `protocol/control.py`; this shell owns the timer for settings that the rate limit
holds back, the queue of settings that wait for the worker, and the statistics subscription.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from webrtc_server.limits import SETTINGS_WAITING
from webrtc_server.observe.log import get_logger
from webrtc_server.protocol.control import ControlProtocol, HangUp, Outcome, Reply
from webrtc_server.protocol.error_codes import ClientError, Code
from webrtc_server.protocol.messages import (
    ErrorData,
    GetStatusMessage,
    LoadModelMessage,
    ServerData,
    SettingsAppliedData,
    SettingsMessage,
    StatsData,
    StatsSubscribedData,
    StatusData,
    SubscribeStatsMessage,
)

logger = get_logger(__name__)


class Subject(Protocol):
    """What is talked about: the session."""

    def status(self) -> StatusData: ...
    def stats(self, now: float) -> StatsData: ...
    def load_model(self, model: str, failed: Callable[[ClientError], None]) -> None: ...
    async def apply(self, patch: dict[str, object]) -> SettingsAppliedData: ...
    def hang_up(self, reason: Code) -> None: ...


class Conversation:
    def __init__(self, subject: Subject, send: Callable[[ServerData, str | None], None]) -> None:
        self._subject = subject
        self._send = send
        self._protocol = ControlProtocol()
        self._timer: asyncio.TimerHandle | None = None
        self._requests: asyncio.Queue[SettingsMessage] = asyncio.Queue(SETTINGS_WAITING)
        self._stats_interval: float | None = None
        self._stats_due = 0.0
        self._task = asyncio.create_task(self._apply_in_order(), name="settings")

    def receive_text(self, text: str) -> None:
        """A message from the client. Never raises."""
        self._carry_out(self._protocol.receive(text, time.monotonic()))
        self._set_timer()

    def receive_binary(self) -> None:
        """A binary message where only texts belong."""
        self._carry_out(self._protocol.receive_binary())

    def ask(self, patch: dict[str, object]) -> None:
        """Settings that the server itself wants, in the same line as the client's."""
        self._queue(SettingsMessage(type="settings", data=patch))

    def tick(self, now: float) -> None:
        """Send the statistics if they are due."""
        if self._stats_interval is not None and now >= self._stats_due:
            self._stats_due = now + self._stats_interval
            self._send(self._subject.stats(now), None)

    async def close(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _set_timer(self) -> None:
        now = time.monotonic()
        deadline = self._protocol.deadline(now)
        if deadline is not None and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(deadline - now, self._due)

    def _due(self) -> None:
        self._timer = None
        self._carry_out(self._protocol.due(time.monotonic()))
        self._set_timer()

    def _carry_out(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            match outcome:
                case Reply(data, reply_to):
                    self._send(data, reply_to)
                case HangUp(code):
                    self._subject.hang_up(code)
                case SettingsMessage():
                    self._queue(outcome)
                case GetStatusMessage(id=reply_to):
                    self._send(self._subject.status(), reply_to)
                case SubscribeStatsMessage(data=data, id=reply_to):
                    self._stats_interval, self._stats_due = data.interval_s, 0.0
                    self._send(StatsSubscribedData(interval_s=data.interval_s), reply_to)
                case LoadModelMessage():
                    self._load_model(outcome)

    def _load_model(self, message: LoadModelMessage) -> None:
        """Answered by a status at once, and by an error later if the load fails; everybody is told of its end."""

        def failed(error: ClientError) -> None:
            self._send(ErrorData.of(error), message.id)

        try:
            self._subject.load_model(message.data.model, failed)
        except ClientError as error:
            failed(error)
        else:
            self._send(self._subject.status(), message.id)

    def _queue(self, message: SettingsMessage) -> None:
        try:
            self._requests.put_nowait(message)
        except asyncio.QueueFull:
            self._send(ErrorData.of(ClientError(Code.RATE_LIMITED)), message.id)

    async def _apply_in_order(self) -> None:
        while True:
            message = await self._requests.get()
            try:
                self._send(await self._subject.apply(message.data), message.id)
            except ClientError as error:
                self._send(ErrorData.of(error), message.id)
            except Exception:  # a bug of ours; the next message is to find somebody here
                logger.exception("settings could not be applied")
                self._send(ErrorData.of(ClientError(Code.INTERNAL)), message.id)
