"""The media path in a real Chromium: colours and size of what comes back, one encoder, a viewer beside it.

The page is the server's own, for its origin; the pictures are drawn here. The pipeline is `identity`, so what comes
back should be what was drawn.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page

from tests.e2e.chromium import EXECUTABLE, Server
from tests.e2e.conftest import NewPage

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(EXECUTABLE is None, reason="no Chromium here; on Debian: apt-get install chromium"),
]

SERVER = ("--pipeline", "identity")
BARS = [(191, 191, 191), (191, 191, 0), (0, 191, 191), (0, 191, 0), (191, 0, 191), (191, 0, 0), (0, 0, 191)]
COLOUR_ERROR = 8  # of 255, each of R, G and B; 6 were seen: two conversions to 8 bits, and the codec twice
FULL_SIZE_WITHIN = 2.0  # seconds from the offer

CALL = """async ([width, height, bars]) => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  let count = 0;
  setInterval(() => {
    bars.forEach((colour, index) => {
      context.fillStyle = `rgb(${colour})`;
      const left = Math.round(index * width / bars.length);
      context.fillRect(left, 0, Math.round((index + 1) * width / bars.length) - left, height);
    });
    context.fillStyle = "white";
    context.fillRect(count++ % width, height - 16, 16, 16);
  }, 1000 / 30);
  const video = Object.assign(document.createElement("video"), { muted: true, playsInline: true });
  document.body.append(video);
  const peer = new RTCPeerConnection();
  const control = peer.createDataChannel("control");
  window.statistics = new Promise((resolve) => {
    control.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.type === "stats") resolve(message.data.transport);
    };
  });
  peer.addTransceiver(canvas.captureStream(30).getVideoTracks()[0], { direction: "sendrecv" });
  peer.ontrack = ({ track }) => { video.srcObject = new MediaStream([track]); video.play(); };
  await peer.setLocalDescription(await peer.createOffer());
  const begun = performance.now();
  const answer = await (await fetch("/offer", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ sdp: peer.localDescription.sdp, type: "offer" }),
  })).json();
  await peer.setRemoteDescription({ type: "answer", sdp: answer.sdp });
  window.ask = () => control.send(JSON.stringify({ type: "subscribe_stats", data: { interval_s: 0.5 } }));
  let first = null;
  while (performance.now() - begun < 20000) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    first ??= video.videoWidth ? performance.now() - begun : null;
    if (video.videoWidth === width) break;
  }
  const full = performance.now() - begun;
  await new Promise((resolve) => setTimeout(resolve, 1500));
  const shown = document.createElement("canvas");
  [shown.width, shown.height] = [video.videoWidth, video.videoHeight];
  const reader = shown.getContext("2d");
  reader.drawImage(video, 0, 0);
  const colours = bars.map((_, index) => {
    const left = Math.round((index + 0.5) * shown.width / bars.length);
    return [...reader.getImageData(left, shown.height / 2, 1, 1).data].slice(0, 3);
  });
  const codecs = [...(await peer.getStats()).values()].filter((each) => each.type === "codec");
  return { first, full, width: video.videoWidth, colours, codecs: codecs.map((each) => each.mimeType), ...answer };
}"""


@pytest.fixture
def page(new_page: NewPage, server: Server) -> Page:
    page = new_page()
    page.goto(server.url)
    return page


def call(page: Page, width: int, height: int) -> dict[str, Any]:
    result: dict[str, Any] = page.evaluate(CALL, [width, height, BARS])
    print({key: value for key, value in result.items() if key not in ("sdp", "session_id")})  # noqa: T201  for -s
    return result


def test_colour_bars_come_back_in_their_colours(page: Page) -> None:
    """Not over VP8, in which Chromium sends a canvas in full range without a word in the stream (RFC 6386 has none)."""
    seen = call(page, 640, 480)
    assert set(seen["codecs"]) == {"video/H264"}
    assert np.abs(np.subtract(seen["colours"], BARS)).max() <= COLOUR_ERROR


def test_large_picture_comes_back_whole_soon_and_by_one_encoder(page: Page) -> None:
    seen = call(page, 1280, 720)
    assert seen["width"] == 1280
    assert seen["full"] <= FULL_SIZE_WITHIN * 1000
    assert "video/H264" in seen["codecs"]
    page.evaluate("ask()")
    transport = page.evaluate("statistics")
    assert transport["encoder_rebuilds"] <= 1
    assert transport["key_frames"] <= 3
