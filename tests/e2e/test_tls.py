"""The page over HTTPS, by a name that is not localhost: there a browser gives the camera to secure pages only."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import Browser, Playwright, expect

from tests.e2e.chromium import EXECUTABLE, NO_WEBRTC, Server, Watched, chromium

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(EXECUTABLE is None, reason="no Chromium here; on Debian: apt-get install chromium"),
]

NAME = "phone.test"
TOKEN = "a-token-that-nobody-types"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("LIVE_DIFFUSION_ALLOWED_HOSTS", NAME)
    monkeypatch.setenv("LIVE_DIFFUSION_AUTH_TOKEN", TOKEN)
    running = Server(tmp_path / "log", "--pipeline", "identity", "--tls", "auto")
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture
def browser(server: Server, tmp_path: Path, playwright: Playwright, film: Path) -> Iterator[Browser]:
    """It finds the server by the name, and trusts the one key that the server has made."""
    certificate = x509.load_pem_x509_certificate((tmp_path / "live-diffusion" / "certificate.pem").read_bytes())
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pin = base64.b64encode(hashlib.sha256(key).digest()).decode()
    resolve, trust = f"--host-resolver-rules=MAP {NAME} 127.0.0.1", f"--ignore-certificate-errors-spki-list={pin}"
    with chromium(playwright, film, resolve, trust) as started:
        yield started


def test_a_phone_opens_the_code_and_streams(server: Server, browser: Browser) -> None:
    url = server.url.replace("127.0.0.1", NAME)
    assert url.startswith(f"https://{NAME}:")
    context = browser.new_context(permissions=["camera"])
    plain = context.new_page()
    plain.route("http://**", lambda route: route.fulfill(content_type="text/html", body="plain"))
    plain.goto(url.replace("https", "http"))  # or what follows would show nothing
    assert plain.evaluate("[isSecureContext, typeof navigator.mediaDevices]") == [False, "undefined"]
    for script, carrier in (("", "WebRTC"), (NO_WEBRTC, "WebSocket, JPEG")):
        page = context.new_page()
        page.add_init_script(script)
        watched = Watched(page, url)
        page.goto(f"{url}/#token={TOKEN}")
        page.wait_for_selector("#setting-prompt")
        assert page.url == f"{url}/", "the token does not stay in the address bar"
        watched.start()
        watched.wait_frames(10)
        expect(page.get_by_text(carrier, exact=True)).to_have_count(1)
        page.close()
        assert watched.offences == []
    context.close()
