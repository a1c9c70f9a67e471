"""The data channel `control`: texts in, texts out. A client that does not read loses messages, the server no memory."""

from __future__ import annotations

from collections.abc import Callable

from aiortc import RTCDataChannel

from webrtc_server.limits import JSON_BYTES, SERVER_MESSAGE_BYTES

BUFFERED_LIMIT = 8 * SERVER_MESSAGE_BYTES  # bytes the client has not taken yet


class ControlChannel:
    def __init__(self, channel: RTCDataChannel, text: Callable[[str], None], binary: Callable[[], None]) -> None:
        self._channel = channel
        self._text = text
        self._binary = binary
        self.dropped = 0
        channel.on("message", self._on_message)

    def _on_message(self, message: str | bytes) -> None:
        if isinstance(message, str):
            self._text(message[: JSON_BYTES + 1])  # one over the limit is enough to be refused
        else:
            self._binary()

    def send(self, text: str) -> None:
        """Dropped and counted if the channel is closed or the client lags too far behind."""
        if self._channel.readyState != "open" or self._channel.bufferedAmount > BUFFERED_LIMIT:
            self.dropped += 1
            return
        self._channel.send(text)

    def close(self) -> None:
        self._channel.remove_all_listeners("message")
        self._channel.close()
