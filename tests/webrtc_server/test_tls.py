"""HTTPS: a certificate that is made, kept, and made anew when it must be; and one of the operator's own."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization

from webrtc_server.config import Config
from webrtc_server.web import tls


def test_a_certificate_is_kept_until_a_name_is_missing_or_its_end_is_near(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "state"
    names = ["localhost", "192.0.2.7", "::1"]
    certificate, key = tls.own_certificate(folder, names)
    assert key.stat().st_mode & 0o777 == 0o600
    first = certificate.read_bytes()
    assert tls.own_certificate(folder, ["localhost"])[0].read_bytes() == first
    assert tls.own_certificate(folder, [*names, "192.0.2.8"])[0].read_bytes() != first
    second = certificate.read_bytes()
    assert tls.own_certificate(folder, names, ["2001:db8::2"])[0].read_bytes() == second
    monkeypatch.setattr(tls, "RENEW_BEFORE", tls.LIFE)
    assert tls.own_certificate(folder, names)[0].read_bytes() != second
    certificate.write_text("torn")
    monkeypatch.setattr(tls, "RENEW_BEFORE", datetime.timedelta())
    tls.context((tls.own_certificate(folder, names)[0], key), names)
    key.write_bytes(tls.own_certificate(tmp_path / "another", names)[1].read_bytes())
    tls.context(tls.own_certificate(folder, names), names)


async def test_clients_that_trust_it_are_served(tmp_path: Path) -> None:
    certificate, key = tls.own_certificate(tmp_path, ["localhost", "127.0.0.1"])
    app = web.Application()
    app.router.add_get("/", _hello)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls.context((certificate, key), [])).start()
    try:
        trusting = ssl.create_default_context(cafile=certificate)
        url = f"https://127.0.0.1:{runner.addresses[0][1]}/"
        async with aiohttp.ClientSession() as http:
            async with http.get(url, ssl=trusting) as response:
                assert await response.text() == "hello"
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await http.get(url)
    finally:
        await runner.cleanup()


async def _hello(request: web.Request) -> web.Response:
    return web.Response(text="hello")


@pytest.mark.parametrize("text", ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_files_that_are_none_are_named(tmp_path: Path, text: str) -> None:
    bad = tmp_path / "bad.pem"
    bad.write_text(text)
    with pytest.raises(tls.BadCertificate, match=r"bad\.pem"):
        tls.context((bad, bad), [])
    with pytest.raises(tls.BadCertificate, match="nowhere"):
        tls.context((tmp_path / "nowhere", bad), [])


def test_a_key_with_a_pass_phrase_is_refused_and_not_asked_for(tmp_path: Path) -> None:
    certificate, key = tls.own_certificate(tmp_path, ["localhost"])
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    key.write_bytes(private.private_bytes(*form, serialization.BestAvailableEncryption(b"secret")))
    with pytest.raises(tls.BadCertificate, match=r"key\.pem cannot be used: it has a pass phrase"):
        tls.context((certificate, key), [])
    tls.context(tls.own_certificate(tmp_path, ["localhost"]), [])  # made anew


def test_an_operators_certificate_that_has_ended_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "LIFE", datetime.timedelta(minutes=-1))
    pair = tls.own_certificate(tmp_path, ["localhost"])
    with pytest.raises(tls.BadCertificate, match=r"certificate\.pem ended on 20\d\d-"):
        tls.context(pair, [])


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(tls.BadCertificate, match="file"):
        tls.own_certificate(tmp_path / "file", ["localhost"])


def test_only_ipv6_addresses_that_nobody_told_may_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "host_names", lambda: ["localhost", "192.0.2.7", "2001:db8::1", "2001:db8::2"])
    config = Config(host="2001:db8::1", public_ip="2001:db8::9")
    names = ["localhost", "192.0.2.7", "2001:db8::9", "2001:db8::1"]
    assert tls.certificate_names(config) == (names, ["2001:db8::1", "2001:db8::2"])


def test_this_machine_has_names() -> None:
    names = tls.host_names()
    assert "localhost" in names
    assert "127.0.0.1" in names
    assert not [name for name in names if name.startswith("fe80")]
