"""The style network on onnxruntime: one picture and the params of a style in, the painted picture out. No state."""

from __future__ import annotations

import os

import numpy as np

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # its import numbers the machine and reports to its maker else
import onnxruntime

from pipeline.backends.style.graph import Floats, StyleModel
from pipeline.errors import BackendUnavailable
from pipeline.frame import Pixels

SIDE_MULTIPLE = 16  # of the sides of a picture; 4 would do, but rows of 16 suit the vector units
MOST_THREADS = 4  # more hardly help at these sizes


def default_threads() -> int:
    """Half of the cores: the video codecs and the network need the others."""
    return max(1, min(MOST_THREADS, (os.cpu_count() or 1) // 2))


class StyleNet:
    def __init__(self, model: StyleModel, threads: int) -> None:
        """Raises BackendUnavailable if onnxruntime cannot open the model."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # A pool that waits by spinning would take the core that the video codec needs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Denormals stay: flushing them saves nothing here, and changes the calling thread's arithmetic for good.
        try:
            self._session = onnxruntime.InferenceSession(model.graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its classes share no base but Exception
            fix = "Reinstall onnxruntime, or choose the pipeline `effects`."
            raise BackendUnavailable(f"onnxruntime cannot open the network: {error}", fix) from error

    def __call__(self, picture: Pixels, params: Floats) -> Pixels:
        """(H, W, 3) uint8 RGB, sides multiples of 4, and (2, 495) -> (H, W, 3) uint8 RGB."""
        (painted,) = self._session.run(["stylized"], {"image": picture[None], "params": params})
        return np.asarray(painted[0], np.uint8)
