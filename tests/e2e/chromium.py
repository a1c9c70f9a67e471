"""A real Chromium and the real server as processes of their own, and what a test wants to know of the page in them.

Only browsers of the system are used, none is fetched. Every wait has a deadline; none is a fixed sleep.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, Playwright, Route, WebSocketRoute

from run import BROWSERS, ROOT

EXECUTABLE = next(filter(None, map(shutil.which, BROWSERS)), None)
DEADLINE = 30.0  # seconds; a slow machine needs a few, a broken page all of them
SIDE = 48  # pixels of a grab: small enough that a moving camera matters little, large enough for a style to show

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

FLAGS = (
    "--no-sandbox",  # root in a container has none
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--allow-loopback-in-peer-connection",
)

ANY_CERTIFICATE = ssl.create_default_context()  # for a question to a server that this very test has started
ANY_CERTIFICATE.check_hostname = False
ANY_CERTIFICATE.verify_mode = ssl.CERT_NONE

Grab = np.ndarray[tuple[int, ...], np.dtype[np.float32]]

GRAB = """([id, side]) => {
  const video = document.getElementById(id);
  const size = Math.min(video.videoWidth, video.videoHeight);
  if (!size) return null;
  const canvas = new OffscreenCanvas(side, side);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  const [left, top] = [(video.videoWidth - size) / 2, (video.videoHeight - size) / 2];
  context.drawImage(video, left, top, size, size, 0, 0, side, side);
  return btoa(String.fromCharCode(...context.getImageData(0, 0, side, side).data));
}"""


def until(what: str, true: Callable[[], bool], deadline: float = DEADLINE) -> None:
    end = time.monotonic() + deadline
    while not true():
        assert time.monotonic() < end, f"not within {deadline:.0f} s: {what}"
        time.sleep(0.1)


@contextmanager
def chromium(playwright: Playwright, film: Path | None, *flags: str) -> Iterator[Browser]:
    """Its camera shows `film`; without one there is no camera."""
    camera = ("--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={film}") if film else ()
    browser = playwright.chromium.launch(executable_path=EXECUTABLE, args=[*FLAGS, *camera, *flags])
    try:
        yield browser
    finally:
        browser.close()


class Server:
    """`live-diffusion serve` on loopback. It keeps its port when it is started again."""

    def __init__(self, log: Path, *arguments: str) -> None:
        self._log = log
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def start(self) -> None:
        """Returns once a session would be painted."""
        port = self.url.rpartition(":")[2] or "0"
        command = [sys.executable, "-m", "webrtc_server", "serve", "--host", "127.0.0.1", "--port", port]
        # Pages that are still live at the end of a test are not waited for any longer than they need to hear of it.
        environment = os.environ | {"LIVE_DIFFUSION_ICE_LOOPBACK": "1", "LIVE_DIFFUSION_DRAIN_SECONDS": "2"}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, *self._arguments], cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
            )
        until("the server listens", self._listens)
        until("the server can paint", self._ready, 3 * DEADLINE)

    def kill(self) -> None:
        """As a crash would: nobody is told."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(15)
        finally:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _listens(self) -> bool:
        assert self._process is not None
        text = self._log.read_text()
        assert self._process.poll() is None, f"the server ended:\n{text}"
        match = re.search(r"listening on (https?://\S+)", text)
        self.url = match[1] if match else self.url
        return match is not None

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5, context=ANY_CERTIFICATE):
                return True
        except urllib.error.URLError:
            return False


@dataclass
class Watched:
    """A page, and what it must never do: ask another server, break a rule of its security policy, throw."""

    page: Page
    origin: str
    offences: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("request", lambda request: self._check_address(request.url))
        self.page.on("pageerror", lambda error: self.offences.append(f"error: {error}"))
        self.page.on("console", lambda message: self._check_console(message.text))

    def _check_address(self, url: str) -> None:
        if not url.startswith((self.origin, "data:", "blob:")):
            self.offences.append(f"request: {url}")

    def _check_console(self, text: str) -> None:
        if "Content Security Policy" in text:
            self.offences.append(text)

    def start(self) -> None:
        """Press Start and wait for the first painted picture."""
        self.page.click("#start")
        self.until_live()

    def until_live(self) -> None:
        self.until_state("Live")
        until("the result plays", lambda: self.frames() > 0)

    def until_state(self, word: str) -> None:
        until(f"the state is {word}", lambda: self.page.inner_text("#state-word") == word)

    def until_applied(self, name: str) -> None:
        mark = self.page.locator(f".field:has(#setting-{name}) .mark")
        until(f"{name} is applied", lambda: mark.inner_text() == "✓ applied")

    def say(self, prompt: str) -> None:
        self.page.fill("#setting-prompt", prompt)
        self.page.press("#setting-prompt", "Enter")
        self.until_applied("prompt")

    def axe(self) -> list[str]:
        """Violations of the accessibility rules, with the elements that break them."""
        if not AXE.exists():
            pytest.skip("no axe-core here; npm ci brings it")
        if self.page.evaluate("typeof axe === 'undefined'"):
            self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("rules => axe.run(document, { runOnly: rules })", RULES)
        return [f"{rule['id']}: {node['html']}" for rule in found["violations"] for node in rule["nodes"]]

    def frames(self) -> int:
        quality = self.page.evaluate("document.getElementById('result').getVideoPlaybackQuality().totalVideoFrames")
        return int(quality)

    def wait_frames(self, count: int) -> None:
        seen = total = self.frames()

        def enough() -> bool:
            nonlocal seen, total
            now = self.frames()
            total += now - seen if now >= seen else now  # a connection of its own counts from 0
            seen = now
            return total >= wanted

        wanted = total + count
        until(f"{count} more frames", enough)

    def grab(self, video: str) -> Grab:
        """The middle square of what `camera` or `result` shows now."""
        data = self.page.evaluate(GRAB, [video, SIDE])
        assert data is not None, f"#{video} shows nothing"
        rgba = np.frombuffer(base64.b64decode(data), np.uint8).reshape(SIDE, SIDE, 4)
        return rgba[..., :3].astype(np.float32)

    def mean(self, video: str, count: int = 6) -> Grab:
        """The mean of some pictures: what stays while the camera moves."""
        grabs = []
        for _ in range(count):
            self.wait_frames(2)
            grabs.append(self.grab(video))
        mean: Grab = np.mean(grabs, axis=0)
        return mean


def difference(a: Grab, b: Grab) -> float:
    """Mean absolute difference, of 255."""
    return float(np.abs(a - b).mean())


NO_WEBRTC = "delete globalThis.RTCPeerConnection"


class Talk:
    """The other end of the page's `/ws`, in place of the server: it says what a test wants it to say.

    For states that a real server cannot be brought into at will. Goes with `NO_WEBRTC`.
    """

    def __init__(self, page: Page) -> None:
        self.heard: list[dict[str, Any]] = []
        self.pictures = 0
        self.painted: bytes | None = None  # what comes back; None: what was sent
        self.status: dict[str, Any] = {
            "protocol": 1,
            "session_id": "s",
            "view_id": "v",
            "state": "running",
            "reason": None,
            "message": "",
            "since": 0.0,
            "pipeline": "diffusion",
            "pipelines": ["diffusion"],
            "device": "cpu",
            "model": "sd-turbo",
            "models": ["sd-turbo", "other"],
            "settings": {"pipeline": "diffusion", "prompt": "a fox", "steps": 2, "denoising_strength": 0.5},
            "settings_version": 1,
            "notes": [],
        }
        self._socket: WebSocketRoute | None = None
        page.route_web_socket(re.compile(r"/ws\?"), self._open)

    def is_now(self, **changes: object) -> None:
        self.status |= changes
        self.say("status", **self.status)

    def say(self, kind: str, **data: object) -> None:
        assert self._socket is not None
        self._socket.send(json.dumps({"type": kind, "data": data}))

    def _open(self, socket: WebSocketRoute) -> None:
        self._socket = socket
        socket.on_message(self._hear)
        self.is_now()

    def _hear(self, message: str | bytes) -> None:
        assert self._socket is not None
        if isinstance(message, str):
            self.heard.append(json.loads(message))
            return
        self.pictures += 1
        self.say("processed_frame", timings_ms={"total": 5})
        self._socket.send(self.painted or message)


def guarded(page: Page) -> None:
    """As a server does that was started with a token."""

    def check(route: Route) -> None:
        if route.request.headers.get("authorization") == "Bearer open sesame":
            return route.continue_()
        body = {"code": "unauthorized", "detail": "This server asks for its access token.", "fix": "Send it."}
        return route.fulfill(status=401, json=body)

    page.route("**/api/**", check)
    page.route("**/offer", check)
