"""What clients may see of an error."""

from __future__ import annotations

import pytest

from pipeline.errors import BackendUnavailable


@pytest.mark.parametrize(
    ("message", "public"),
    [
        ("There is no model folder /srv/models/mine.", "There is no model folder mine."),
        ("[Errno 13] Permission denied: '/home/me/.cache/net.onnx'", "[Errno 13] Permission denied: 'net.onnx'"),
        ("~/models/mine/unet/weights.bin is a pickle", "weights.bin is a pickle"),
        ("/srv/a/one and /srv/b/two:/srv/c/three", "one and two:three"),
        ("The model hub has no stabilityai/sd-turbo.", "The model hub has no stabilityai/sd-turbo."),
        ("see https://hub.example/a/b/c and GET /readyz", "see https://hub.example/a/b/c and GET /readyz"),
        ("24 frames/s, and/or 1/2", "24 frames/s, and/or 1/2"),
        ("", ""),
    ],
)
def test_of_a_path_only_its_last_name_is_told(message: str, public: str) -> None:
    error = BackendUnavailable(message)
    assert (error.message, error.public) == (message, public)
