"""Broken WebSocket frames (RFC 6455 section 5) at `/ws`, byte by byte.

Each connection ends in a few seconds with a code that says why, and the next client finds a server that works.
"""

from __future__ import annotations

import asyncio
import base64
import random
import struct
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.fakes.server import RunningServer
from webrtc_server.config import Config
from webrtc_server.limits import WS_MESSAGE_BYTES

TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9
ENDS = (None, 1000, 1002, 1003, 1007, 1008, 1009)  # None: cut without a word; 1011 would be a mistake of ours
WAIT = 10.0  # seconds for a connection to end


def frame(
    opcode: int, payload: bytes = b"", fin: bool = True, rsv: int = 0, masked: bool = True, length: int | None = None
) -> bytes:
    """`length`: what the header says, if not the truth."""
    size = len(payload) if length is None else length
    head = bytes([fin << 7 | rsv << 4 | opcode])
    mask = b"\x12\x34\x56\x78" if masked else b""
    if size < 126:
        head += bytes([masked << 7 | size])
    elif size < 1 << 16:
        head += bytes([masked << 7 | 126]) + struct.pack(">H", size)
    else:
        head += bytes([masked << 7 | 127]) + struct.pack(">Q", size)
    if masked:
        payload = bytes(byte ^ mask[index & 3] for index, byte in enumerate(payload))
    return head + mask + payload


@dataclass(frozen=True)
class Case:
    data: bytes
    code: int | None  # that is expected; None: the connection is cut


CASES = {
    "unknown opcode": Case(frame(3), 1002),
    "unknown control opcode": Case(frame(11), 1002),
    "reserved bit": Case(frame(TEXT, b"{}", rsv=4), 1002),
    "other reserved bits": Case(frame(TEXT, b"{}", rsv=3), 1002),
    "long ping": Case(frame(PING, b"x" * 126), 1002),
    "ping in pieces": Case(frame(PING, fin=False), 1002),
    "continuation of nothing": Case(frame(0, b"x"), 1002),
    "text within a text": Case(frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002),
    "no utf-8": Case(frame(TEXT, b"\xc3\x28"), 1007),
    "half a surrogate pair": Case(frame(TEXT, b"\xed\xa0\x80"), 1007),
    "no utf-8 in pieces": Case(frame(TEXT, b"\xc3", fin=False) + frame(0, b"\x28"), 1007),
    "no utf-8 in the reason": Case(frame(CLOSE, struct.pack(">H", 1000) + b"\xff"), 1007),
    "close with half a code": Case(frame(CLOSE, b"\x03"), 1002),
    "close with a code that is none": Case(frame(CLOSE, struct.pack(">H", 999)), 1002),
    "length of 2^63": Case(frame(BINARY, b"", length=1 << 63), 1009),
    "one byte above the limit": Case(frame(BINARY, b"", length=WS_MESSAGE_BYTES + 1), 1009),
    "pieces above the limit": Case(
        frame(BINARY, b"x", fin=False) + frame(0, b"", fin=False, length=WS_MESSAGE_BYTES), 1009
    ),
    "close": Case(frame(CLOSE, struct.pack(">H", 1000)), 1000),
}


async def end_of(url: str, data: bytes) -> int | None:
    """The close code after `data` and an end of sending. Raises TimeoutError if the connection does not end."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        async with asyncio.timeout(WAIT):
            key = base64.b64encode(b"0123456789abcdef").decode()
            writer.write(
                f"GET /ws HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
            )
            head = await reader.readuntil(b"\r\n\r\n")
            assert b" 101 " in head, head
            writer.write(data)
            await writer.drain()
            return await _close_code(reader, writer)
    except OSError:
        return None
    finally:
        writer.close()


async def _close_code(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int | None:
    """Reads the server's frames up to its close. Once nothing has come for a moment the client stops sending."""
    while True:
        try:
            async with asyncio.timeout(0.5):
                first, second = await reader.readexactly(2)
        except TimeoutError:
            writer.write(frame(CLOSE, struct.pack(">H", 1000)))
            writer.write_eof()
            first, second = await reader.readexactly(2)
        except asyncio.IncompleteReadError:
            return None
        size = second & 127
        if size > 125:
            size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8))
        payload = await reader.readexactly(size)
        if first & 15 == CLOSE:
            return int.from_bytes(payload[:2]) if len(payload) >= 2 else 1005


def random_frames(chance: random.Random) -> bytes:
    """A few frames, most of them nearly right."""
    frames = []
    for _ in range(chance.randrange(1, 6)):
        payload = chance.choice(
            (b"", b'{"type":"get_status"}', chance.randbytes(chance.randrange(200)), b"\xff\xd8\xff")
        )
        frames.append(
            frame(
                chance.choice((TEXT, TEXT, BINARY, 0, PING, 10, CLOSE, chance.randrange(16))),
                payload,
                fin=chance.random() < 0.8,
                rsv=chance.choice((0, 0, 0, 0, chance.randrange(8))),
                masked=chance.random() < 0.95,
                length=chance.choice((None, None, None, None, chance.randrange(1 << 20), 1 << 40, (1 << 64) - 1)),
            )
        )
    data = bytearray(b"".join(frames))
    if chance.random() < 0.3:
        data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data[: chance.randrange(1, len(data) + 1)] if chance.random() < 0.3 else data)


async def attack(url: str, connections: int, chance: random.Random) -> dict[str, int]:
    """How many ended how. Raises AssertionError for an end that is none of ENDS, TimeoutError for none."""
    ends: dict[str, int] = {}
    for _ in range(connections):
        data = random_frames(chance)
        try:
            code = await end_of(url, data)
        except asyncio.IncompleteReadError:
            code = None
        assert code in (*ENDS, 1005), f"{code} after {data.hex()}"
        ends[str(code)] = ends.get(str(code), 0) + 1
    return ends


def storm(connections: int, seed: int) -> dict[str, object]:
    """Against a server of its own."""

    async def run() -> dict[str, int]:
        server = RunningServer(Config(port=0), "identity")
        await server.start()
        try:
            return await attack(server.url, connections, random.Random(seed))
        finally:
            await server.close()

    return {"connections": connections, "ends": asyncio.run(run())}
