"""What does the page weigh, how soon can it be used, and what does it add to the picture's way? `python -m bench.page`

The page in a real Chromium on loopback, each load with an empty cache. Its latency is that of the barcode camera of
`bench.media_chromium` through the whole page against a bare <video> with a peer connection of its own, both to the same
server with the pipeline identity, taken in turns as the machine is noisy.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

from bench.media_chromium import BARCODE, CALL, SETTLE, post
from tests.e2e.chromium import Server, chromium
from tests.fakes.barcode import CELLS, GRID

SIZE = (640, 480)
READY = """new MutationObserver((_, observer) => {
  if (!document.getElementById("setting-prompt")) return;
  window.ready = performance.now();
  observer.disconnect();
}).observe(document, { childList: true, subtree: true });"""
LATENCIES = "since => window.returned.filter(([at, , ms]) => at > since && ms !== null).map(([, , ms]) => ms)"


def load(browser: Browser, url: str) -> tuple[int, int, float]:
    """Requests, kilobytes on the wire with headers, and milliseconds from navigation until the controls are drawn."""
    context = browser.new_context()
    page = context.new_page()
    page.add_init_script(READY)
    wire = context.new_cdp_session(page)
    wire.send("Network.enable")
    sizes: list[float] = []
    wire.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    page.goto(url, wait_until="networkidle")
    ready = page.evaluate("window.ready")
    context.close()
    return len(sizes), int(sum(sizes) / 1000), ready


def latencies(page: Page, seconds: float) -> list[float]:
    page.wait_for_timeout(SETTLE * 1000)
    since = page.evaluate("performance.now()")
    page.wait_for_timeout(seconds * 1000)
    found: list[float] = page.evaluate(LATENCIES, since)
    return found


def bare(browser: Browser, url: str, seconds: float) -> list[float]:
    page = browser.new_page()
    page.goto(f"{url}/api/version")  # the same origin, and nothing on it
    page.expose_function("offer", lambda sdp: post(url, sdp))
    page.evaluate(BARCODE, [*SIZE, CELLS, GRID])
    page.evaluate(CALL)
    found = latencies(page, seconds)
    page.close()
    return found


def whole(browser: Browser, url: str, seconds: float) -> list[float]:
    page = browser.new_page()
    page.goto(url)
    page.wait_for_selector("#setting-prompt")
    page.evaluate(BARCODE, [*SIZE, CELLS, GRID])
    page.evaluate("navigator.mediaDevices.getUserMedia = async () => window.barcode.stream")
    page.evaluate("window.barcode.watch(document.getElementById('result'))")
    page.click("#start")
    found = latencies(page, seconds)
    page.close()
    return found


def main(seconds: float, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = Server(Path(folder) / "log", "--pipeline", "identity")
        server.start()
        try:
            with chromium(playwright, None) as browser:
                loads = [load(browser, server.url) for _ in range(2 * rounds)]
                ways: dict[str, list[float]] = {"bare video": [], "the page": []}
                for _ in range(rounds):
                    ways["bare video"] += bare(browser, server.url, seconds)
                    ways["the page"] += whole(browser, server.url, seconds)
        finally:
            server.stop()
    requests, kilobytes, _ = loads[-1]
    ready = [milliseconds for *_, milliseconds in loads]
    print(f"first load: {requests} requests, {kilobytes} kB on the wire")
    print(f"usable after: {statistics.median(ready):.0f} ms (median of {len(ready)}, best {min(ready):.0f} ms)")
    for name, found in ways.items():
        p50, p95 = np.percentile(found, [50, 95])
        print(f"{name:<12}{len(found):5d} pictures   p50 {p50:6.1f} ms   p95 {p95:6.1f} ms")
    added = statistics.median(ways["the page"]) - statistics.median(ways["bare video"])
    print(f"the page adds {added:+.1f} ms (difference of the medians)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    main(options.seconds, options.rounds)
