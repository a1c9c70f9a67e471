"""What can go wrong with a picture, as an error that says whose fault it is and what to do.

    PipelineError
    +-- ApplyFailed       the settings cannot be put into force; the old ones stay
    +-- BadFrame          this one frame cannot be processed
        +-- FrameTooLarge its size is over the limit
    +-- BackendUnavailable  the pipeline cannot be loaded on this machine
    +-- StillLoading      the pipeline is not there yet; frames pass unpainted
    +-- OutOfMemory       the device has no room for this frame; later ones, or smaller ones, may pass
    +-- DeviceLost        this process cannot use its device any more, and has to end

The codes are those of the client protocol; `webrtc_server.protocol.error_codes` gives them their status and text.
"""

from __future__ import annotations

import re

# A path of at least two folders, with what is before its last name; not the rest of an address, "https://..."
_FOLDERS = re.compile(r"(?<![\w/.~-])(?:~|/[^\s/'\":;,()<>]+)(?:/[^\s/'\":;,()<>]+)*/(?=[^\s/'\":;,()<>])")


def without_folders(text: str) -> str:
    """`text` with every path in it cut to its last name."""
    return _FOLDERS.sub("", text)


class PipelineError(Exception):
    """A failure with a `code` for the client, a `message` (what happened) and a `fix` (what to do)."""

    code = "internal"
    retryable = True

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    @property
    def public(self) -> str:
        """`message` as clients may see it: of a file or folder its own name, not where the operator keeps it."""
        return without_folders(self.message)


class ApplyFailed(PipelineError):
    code = "apply_failed"
    retryable = False


class BadFrame(PipelineError):
    code = "bad_image"


class FrameTooLarge(BadFrame):
    code = "frame_too_large"


class BackendUnavailable(PipelineError):
    code = "model_load_failed"


class StillLoading(PipelineError):
    code = "model_loading"


class OutOfMemory(PipelineError):
    code = "gpu_oom"


class DeviceLost(PipelineError):
    code = "worker_restarting"
