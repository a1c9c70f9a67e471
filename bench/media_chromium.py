"""A real Chromium as the client of `bench.media`: a canvas with numbered pictures goes out, what returns is timed.

Its own capture, encoder, decoder and compositor are in every figure, and are the same for every server. The number is
the one of `tests/fakes/barcode.py`, drawn and read by the page. Prints lines as `media_client.py` does.
"""

from __future__ import annotations

import argparse
import json
import urllib.request
from dataclasses import asdict
from typing import Any

import numpy as np
from playwright.sync_api import sync_playwright

from bench.media_client import FROZEN, WARM_UP, Measured
from tests.e2e.chromium import chromium
from tests.fakes.barcode import CELLS, GRID

SETTLE = 4.0  # seconds after WARM_UP: Chromium's own rate control and jitter buffer come to rest

BARCODE = """([width, height, cells, grid]) => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  const check = (n) => (n ^ (n >> 4) ^ (n >> 8) ^ (n >> 12) ^ 0b1010) & 0xf;
  const texture = new ImageData(width, height);
  let seed = 1;
  for (let i = 0; i < texture.data.length; i += 4) {
    seed = (seed * 1103515245 + 12345) & 0x7fffffff;
    const [x, y] = [(i / 4) % width, Math.floor(i / 4 / width)];
    const soft = 110 + 50 * Math.sin(x / 17) * Math.cos(y / 23) + 20 * Math.sin((x + y) / 5) + (seed >> 16) % 12;
    texture.data.set([soft, soft * 0.9, 255 - soft, 255], i);
  }
  const sent = (window.sent = new Map());
  window.returned = [];
  let number = 0;
  const stream = canvas.captureStream(0);
  const [track] = stream.getVideoTracks();
  const draw = () => {
    number = (number + 1) & 0xffff;
    context.putImageData(texture, 0, 0);
    context.fillStyle = "#dca";
    const angle = number / 20;
    context.beginPath();
    context.arc(width * (0.5 + 0.3 * Math.cos(angle)), height * (0.5 + 0.3 * Math.sin(angle)), height / 8, 0, 7);
    context.fill();
    const value = (number << 4) | check(number);
    const cell = width / grid;
    for (let index = 0; index < cells; index++) {
      context.fillStyle = (value >> (cells - 1 - index)) & 1 ? "#fff" : "#000";
      context.fillRect(Math.round(index * cell), 0, Math.round(cell), Math.round(cell));
    }
    sent.set(number, performance.now());
    track.requestFrame();
  };
  setInterval(draw, 1000 / 30);
  const strip = document.createElement("canvas");
  const reader = strip.getContext("2d", { willReadFrequently: true });
  const read = (video) => {
    const cell = video.videoWidth / grid;
    [strip.width, strip.height] = [video.videoWidth, Math.ceil(cell)];
    reader.drawImage(video, 0, 0, video.videoWidth, Math.ceil(cell), 0, 0, strip.width, strip.height);
    const { data } = reader.getImageData(0, Math.floor(cell / 2), strip.width, 1);
    let value = 0;
    for (let index = 0; index < cells; index++) {
      value = value * 2 + (data[4 * Math.floor((index + 0.5) * cell) + 1] > 125 ? 1 : 0);
    }
    const found = value >> 4;
    return (value & 0xf) === check(found) ? found : null;
  };
  const watch = (video) => {
    const onFrame = () => {
      const at = performance.now();
      const found = read(video);
      const drawn = sent.get(found);
      window.returned.push([at, found, drawn === undefined ? null : at - drawn, video.videoWidth, video.videoHeight]);
      video.requestVideoFrameCallback(onFrame);
    };
    video.requestVideoFrameCallback(onFrame);
  };
  window.barcode = { stream, track, watch };
}"""
CALL = """async () => {
  const { stream, track, watch } = window.barcode;
  const video = Object.assign(document.createElement("video"), { muted: true, playsInline: true });
  document.body.append(video);
  watch(video);
  const peer = (window.peer = new RTCPeerConnection());
  peer.addTransceiver(track, { direction: "sendrecv", streams: [stream] });
  peer.ontrack = (event) => { video.srcObject = new MediaStream([event.track]); video.play(); };
  await peer.setLocalDescription(await peer.createOffer());
  window.asked = performance.now();
  const answer = JSON.parse(await window.offer(peer.localDescription.sdp));
  await peer.setRemoteDescription({ type: "answer", sdp: answer.sdp });
}"""
STATISTICS = """async () => {
  const report = [...(await window.peer.getStats()).values()];
  const inbound = report.find((each) => each.type === "inbound-rtp" && each.kind === "video") ?? {};
  return { now: performance.now(), bytes: inbound.bytesReceived ?? 0,
           codec: (report.find((each) => each.id === inbound.codecId)?.mimeType ?? "").slice(6) };
}"""


def post(url: str, sdp: str) -> str:
    body = json.dumps({"sdp": sdp, "type": "offer"}).encode()
    request = urllib.request.Request(f"{url}/offer", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as response:
        return str(response.read().decode())


def measured(begin: dict[str, Any], end: dict[str, Any], returned: list[list[float | None]], asked: float) -> Measured:
    """Times are the page's, in milliseconds."""
    window = [row for row in returned if begin["now"] <= (row[0] or 0) <= end["now"]]
    latency = [row[2] for row in window if row[2] is not None]
    gaps = np.diff([begin["now"], *(row[0] for row in window if row[1] is not None), end["now"]]) / 1000
    seconds = (end["now"] - begin["now"]) / 1000
    first = returned[0][0] if returned else None
    return Measured(
        codec=end["codec"],
        fps=len(latency) / seconds,
        p50=float(np.percentile(latency, 50)) if latency else None,
        p95=float(np.percentile(latency, 95)) if latency else None,
        psnr=None,  # a canvas's colours are converted on the way
        kbps=(end["bytes"] - begin["bytes"]) * 8 / seconds / 1000,
        first=None if first is None else first - asked,
        frozen=float(gaps[gaps > FROZEN].sum()),
        longest=float(gaps.max()),
        size=f"{window[-1][3]}x{window[-1][4]}" if window else "",
    )


def main(url: str, width: int, height: int, seconds: float) -> None:
    with sync_playwright() as playwright, chromium(playwright, None) as browser:
        page = browser.new_page()
        page.goto(url)
        page.expose_function("offer", lambda sdp: post(url, sdp))
        page.evaluate(BARCODE, [width, height, CELLS, GRID])
        page.evaluate(CALL)
        page.wait_for_timeout((WARM_UP + SETTLE) * 1000)
        print("measuring", flush=True)
        begin = page.evaluate(STATISTICS)
        page.wait_for_timeout(seconds * 1000)
        end = page.evaluate(STATISTICS)
        print("measured", flush=True)
        returned, asked = page.evaluate("window.returned"), page.evaluate("window.asked")
    print(json.dumps(asdict(measured(begin, end, returned, asked)) | {"viewer_fps": []}), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("size", type=lambda text: tuple(map(int, text.split("x"))))
    parser.add_argument("--seconds", type=float, default=6)
    options = parser.parse_args()
    width, height = options.size
    main(options.url, width, height, options.seconds)
