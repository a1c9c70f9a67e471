"""The recorder in a real Chromium, by itself: each format, in memory and on disk, gives a file of the right length.

The picture is a canvas of one colour that changes half-way, so that the file's pictures can be judged.
"""

from __future__ import annotations

import base64
import io

import av
import numpy as np
import pytest

from tests.e2e.chromium import EXECUTABLE
from tests.e2e.conftest import Open

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(EXECUTABLE is None, reason="no Chromium here; on Debian: apt-get install chromium"),
]

SERVER = ("--pipeline", "identity")
LENGTH_MS = 1500

# The file system of the origin stands for the user's disk: the same handles, without the dialog.
RECORD = """async ([mimeType, extension, toDisk, ms]) => {
  const { Recorder } = await import("/static/js/tools/recorder.js");
  const canvas = Object.assign(document.createElement("canvas"), { width: 320, height: 240 });
  const context = canvas.getContext("2d");
  const start = performance.now();
  const draw = () => {
    context.fillStyle = performance.now() - start < ms / 2 ? "#c02020" : "#2020c0";
    context.fillRect(0, 0, 320, 240);
  };
  draw();
  const timer = setInterval(draw, 33);
  const root = await navigator.storage.getDirectory();
  const handle = await root.getFileHandle(`recording.${extension}`, { create: true });
  const disk = toDisk ? await handle.createWritable() : null;
  const recorder = new Recorder(canvas.captureStream(30), { mimeType, extension }, disk);
  setTimeout(() => recorder.stop(), ms);
  const result = await recorder.finished;
  clearInterval(timer);
  const file = result.file ?? (await handle.getFile());
  const data = new Uint8Array(await file.arrayBuffer());
  let text = "";
  for (let at = 0; at < data.length; at += 8192) text += String.fromCharCode(...data.subarray(at, at + 8192));
  return [result.reason, result.file === null, recorder.elapsed(performance.now()), btoa(text)];
}"""


@pytest.mark.parametrize("to_disk", [False, True], ids=["memory", "disk"])
@pytest.mark.parametrize(
    ("mime_type", "extension"),
    [("video/mp4;codecs=avc1.42E01F", "mp4"), ("video/webm;codecs=vp9", "webm"), ("video/webm;codecs=vp8", "webm")],
)
def test_the_file_plays_and_is_as_long_as_was_recorded(
    open_page: Open, mime_type: str, extension: str, to_disk: bool
) -> None:
    page = open_page().page
    if not page.evaluate("type => MediaRecorder.isTypeSupported(type)", mime_type):
        pytest.skip(f"this Chromium cannot record {mime_type}")
    reason, on_disk, elapsed_ms, text = page.evaluate(RECORD, [mime_type, extension, to_disk, LENGTH_MS])
    assert reason == "stopped"
    assert on_disk is to_disk
    with av.open(io.BytesIO(base64.b64decode(text)), "r") as container:
        assert container.duration is not None
        assert container.duration / 1e6 == pytest.approx(elapsed_ms / 1000, abs=0.4)
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(pictures) > 10
    assert pictures[0].shape == (240, 320, 3)
    red_and_blue = [np.mean(pictures[at], axis=(0, 1)) for at in (2, -2)]
    assert red_and_blue[0][0] > 120 > red_and_blue[0][2]
    assert red_and_blue[1][2] > 120 > red_and_blue[1][0]
