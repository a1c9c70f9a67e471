"""A session over one WebSocket: JPEG or PNG pictures in and out as binary messages, JSON as text.

One task decodes, one task writes; between them and the session every place holds one picture, the newest. Knows no
web framework: it is given the functions that send, and one that cuts the connection when the client does not read.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pipeline.errors import BadFrame
from pipeline.frame import Frame, PixelFormat
from pipeline.picture_file import decode, encode
from pipeline.picture_parts import FileFormat
from pipeline.settings import Settings
from pipeline.worker.messages import Done
from webrtc_server.limits import BAD_PICTURES, CLOSE_TIMEOUT, IMAGE_BYTES, WS_SEND_TIMEOUT
from webrtc_server.observe.counted import Counted
from webrtc_server.protocol import messages
from webrtc_server.protocol.error_codes import TABLE, ClientError, Code, known
from webrtc_server.protocol.messages import ProcessedFrameData, ServerData
from webrtc_server.sessions.mailbox import Mailbox
from webrtc_server.sessions.session import Session

TEXTS_WAITING = 64  # messages the client has not read; older ones are dropped
NORMAL_CLOSURE = 1000  # RFC 6455 section 7.4.1


class Socket(Protocol):
    def send_str(self, data: str) -> Awaitable[None]: ...
    def send_bytes(self, data: bytes) -> Awaitable[None]: ...
    def close(self, *, code: int) -> Awaitable[object]: ...


@dataclass(frozen=True)
class StillPicture:
    """A decoded picture file; implements `pipeline.worker.client.Picture`."""

    frame: Frame
    file_format: FileFormat
    input_seq: int
    arrived: float
    decoded: float

    @property
    def width(self) -> int:
        return self.frame.width

    @property
    def height(self) -> int:
        return self.frame.height

    @property
    def format(self) -> PixelFormat:
        return self.frame.format

    def write_into(self, frame: Frame) -> None:
        np.copyto(frame.data, self.frame.data)


@dataclass(frozen=True)
class _Result:
    source: StillPicture
    frame: Frame
    version: int
    pipeline_ms: float | None  # None: unpainted


class WebSocketTransport:
    """Implements `sessions.interfaces.Transport`. `codec` is where pictures are decoded and encoded."""

    name = "ws"

    def __init__(
        self, session: Session[StillPicture], socket: Socket, cut: Callable[[], None], codec: ThreadPoolExecutor
    ) -> None:
        """`cut` ends the connection without a word, at once; repeatable."""
        self._session = session
        self._socket = socket
        self._cut = cut
        self._codec = codec
        self._inputs = 0
        self._bad_inputs = 0  # since the last answer
        self._bad_in_row = 0
        self._outputs = 0
        self._last_input = 0
        self._received: Mailbox[tuple[int, bytes, float]] = Mailbox()
        self._results: Mailbox[_Result] = Mailbox()
        self._texts: deque[str] = deque(maxlen=TEXTS_WAITING)
        self._to_decode = asyncio.Event()
        self._to_write = asyncio.Event()
        self._tasks = [
            asyncio.create_task(self._decode_for_ever(), name="ws decode"),
            asyncio.create_task(self._write_for_ever(), name="ws write"),
        ]
        session.attach(self)
        session.greet()

    def receive_text(self, text: str) -> None:
        self._session.heard()
        self._session.conversation.receive_text(text)

    def receive_binary(self, data: bytes) -> None:
        self._session.heard()  # a picture too, if a bad one
        self._inputs += 1
        if len(data) > IMAGE_BYTES:
            self._refuse(ClientError(Code.TOO_LARGE, f"The picture file has more than {IMAGE_BYTES >> 20} MiB."))
            return
        self._received.put((self._inputs, data, time.monotonic()))
        self._to_decode.set()

    # sessions.interfaces.Transport

    def send(self, data: ServerData, reply_to: str | None = None) -> None:
        self._texts.append(messages.encode(data, reply_to))
        self._to_write.set()

    def painted(self, source: StillPicture, frame: Frame, done: Done) -> None:
        own = Frame(frame.data.copy(), frame.width, frame.height, frame.format)
        self._answer(_Result(source, own, done.version, (done.finished - done.started) * 1000))

    def unpainted(self, source: StillPicture, settings: Settings, version: int) -> None:
        self._answer(_Result(source, source.frame, version, None))

    def figures(self) -> dict[str, float | None]:
        return {"late": float(self._results.dropped), "newer_undecoded": float(self._received.dropped)}

    def counted(self) -> Counted:
        counted = Counted()
        counted.dropped.update(late=self._results.dropped, newer_undecoded=self._received.dropped)
        return counted

    async def close(self, reason: Code | None) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # A task of its own: aiohttp has one future for all that wait for a slow reader, and the task above that was
        # cancelled while it waited has cancelled it, and so whoever sends next.
        goodbye = asyncio.create_task(self._say_goodbye(reason), name="ws goodbye")
        try:
            await asyncio.wait([goodbye], timeout=CLOSE_TIMEOUT)
        finally:
            if not goodbye.done():  # the client does not read
                goodbye.cancel()
                self._cut()
            await asyncio.gather(goodbye, return_exceptions=True)

    async def _say_goodbye(self, reason: Code | None) -> None:
        with contextlib.suppress(ConnectionError, RuntimeError):  # it is gone, or was never opened
            while self._texts:
                await self._socket.send_str(self._texts.popleft())
            await self._socket.close(code=TABLE[reason].close if reason else NORMAL_CLOSURE)

    def _answer(self, result: _Result) -> None:
        self._session.statistics.stages["server"].add((time.monotonic() - result.source.arrived) * 1000)
        self._results.put(result)
        self._to_write.set()

    def _refuse(self, error: ClientError) -> None:
        self._bad_inputs += 1
        self._bad_in_row += 1
        self._session.tell(error)
        if self._bad_in_row >= BAD_PICTURES:
            self._session.hang_up(Code.BAD_IMAGE)

    async def _decode_for_ever(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._to_decode.wait()
            self._to_decode.clear()
            received = self._received.take()
            if received is None:
                continue
            input_seq, data, arrived = received
            try:
                frame, file_format = await loop.run_in_executor(self._codec, decode, data)
            except BadFrame as error:
                self._refuse(ClientError(known(error.code), error.message, error.fix))
                continue
            self._bad_in_row = 0
            self._session.put(StillPicture(frame, file_format, input_seq, arrived, time.monotonic()))

    async def _write_for_ever(self) -> None:
        try:
            while True:
                await self._to_write.wait()
                self._to_write.clear()
                while self._texts:
                    await self._send_text(self._texts.popleft())
                result = self._results.take()
                if result is not None:
                    await self._write_result(result)
        except ConnectionError:
            pass  # the reading side notices too, and ends the session
        except TimeoutError:
            self._cut()  # which the reading side notices

    async def _send_text(self, text: str) -> None:
        async with asyncio.timeout(WS_SEND_TIMEOUT):
            await self._socket.send_str(text)

    async def _write_result(self, result: _Result) -> None:
        source, frame = result.source, result.frame
        begun = time.monotonic()
        loop = asyncio.get_running_loop()
        data = await loop.run_in_executor(self._codec, encode, frame, source.file_format)
        now = time.monotonic()
        timings = {
            "decode": (source.decoded - source.arrived) * 1000,
            "encode": (now - begun) * 1000,
            "total": (now - source.arrived) * 1000,
        }
        if result.pipeline_ms is not None:
            timings["pipeline"] = result.pipeline_ms
        description = ProcessedFrameData(
            seq=self._outputs,
            input_seq=source.input_seq,
            width=frame.width,
            height=frame.height,
            format=source.file_format,
            bytes=len(data),
            settings_version=result.version,
            dropped=max(0, source.input_seq - self._last_input - 1 - self._bad_inputs),
            processed=result.pipeline_ms is not None,
            timings_ms={name: round(value, 2) for name, value in timings.items()},
        )
        self._outputs += 1
        self._last_input, self._bad_inputs = source.input_seq, 0
        self._session.statistics.count("sent", now)
        await self._send_text(messages.encode(description))
        async with asyncio.timeout(WS_SEND_TIMEOUT):
            await self._socket.send_bytes(data)
