"""The shared memory of one session: a few slots, each large enough for any picture that may cross.

The memory has no name: it is a file descriptor, handed to the worker with the first byte of the session's
connection. Whatever dies, and however, the kernel frees it; there is nothing to unlink and nothing to leak. One more
byte outlives the worker: whether it was at work for this session.
"""

from __future__ import annotations

import mmap
import os
import socket
import tempfile

import numpy as np

from pipeline.frame import Frame, PixelFormat, Pixels, frame_bytes

MAX_SIDE = 2048  # pixels
MAX_PIXELS = 1920 * 1088  # 1080p, with the rows that codecs round up to
SLOT_BYTES = MAX_PIXELS * 3  # pages are only taken from the system once they are written to
SLOTS = 3  # one is painted, one waits, one is being written
_AT_WORK = SLOTS * SLOT_BYTES  # where the mark lies
_SIZE = _AT_WORK + 1


def fits(width: int, height: int) -> bool:
    """Whether a picture of this size may cross."""
    return 0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE and width * height <= MAX_PIXELS


class FrameMemory:
    """A mapping of the slots. After `close` it goes with the last frame that views it; no new frame can be had."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._bytes: Pixels = np.frombuffer(mmap.mmap(descriptor, _SIZE), np.uint8)

    @classmethod
    def create(cls) -> FrameMemory:
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("live-diffusion-frames", os.MFD_CLOEXEC)
        else:  # macOS: a file that has lost its name already
            with tempfile.TemporaryFile() as file:
                descriptor = os.dup(file.fileno())
        os.ftruncate(descriptor, _SIZE)
        return cls(descriptor)

    def frame(self, slot: int, width: int, height: int, pixel_format: PixelFormat) -> Frame:
        """A view of the picture in `slot`. Raises ValueError if there is no such slot or the picture is too large."""
        if not (0 <= slot < SLOTS and fits(width, height) and self._bytes.size):
            raise ValueError(f"no {width}x{height} picture fits slot {slot}")
        begin = slot * SLOT_BYTES
        return Frame(self._bytes[begin : begin + frame_bytes(width, height, pixel_format)], width, height, pixel_format)

    @property
    def at_work(self) -> bool:
        """Whether what the worker did last for this session did not end well, or not yet. False once closed."""
        return bool(self._bytes[_AT_WORK:].any())

    def mark(self, at_work: bool) -> None:
        """Say so; the painting thread does, before it hands anything of the session to a back end, and after."""
        self._bytes[_AT_WORK:] = at_work

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
            self._bytes = np.empty(0, np.uint8)


FIRST_BYTE = b"\n"  # an empty line before the messages; descriptors travel with it


def send_memory(connection: socket.socket, memory: FrameMemory) -> None:
    """Hand the memory over a fresh, blocking or non-blocking Unix socket."""
    socket.send_fds(connection, [FIRST_BYTE], [memory.descriptor])


def receive_memory(connection: socket.socket) -> FrameMemory | None:
    """The memory that came with the first byte, or None if none came. Raises OSError, ConnectionError."""
    first, descriptors, _, _ = socket.recv_fds(connection, 1, 1)
    if first != FIRST_BYTE:
        for descriptor in descriptors:
            os.close(descriptor)
        raise ConnectionError("the connection does not begin as it should")
    return FrameMemory(descriptors[0]) if descriptors else None
