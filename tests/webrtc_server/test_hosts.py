"""Which Host headers name this server."""

from __future__ import annotations

import pytest

from webrtc_server.policy.hosts import is_ours, known_names

KNOWN = known_names(["studio.local", "Box."], ["https://app.example:8443", "http://[fd00::1]"])


@pytest.mark.parametrize(
    "header",
    [
        "localhost",
        "LOCALHOST:8000",
        "localhost.:8000",
        "app.localhost:8000",
        "127.0.0.1:8000",
        "[::1]:8000",
        "192.168.1.20:8000",  # no page can move an address to another machine
        "[fd00::1]",
        "studio.local:8000",
        "studio.local.",
        "box",
        "app.example",
    ],
)
def test_own_names_and_addresses(header: str) -> None:
    assert is_ours(header, KNOWN)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "evillocalhost",
        "127.0.0.1.evil.example",
        "127.0.0.1@evil.example",
        "evil.example/localhost",
        "localhost:8000, evil.example",
        "localhost\n",
        "::1",
        "[evil.example]",
        "[::1",
        "localhost:",
        "sub.studio.local",
        "2130706433.evil",
    ],
)
def test_names_of_others(header: str | None) -> None:
    assert not is_ours(header, KNOWN)


def test_any_name_where_that_is_wanted() -> None:
    for known in (known_names(["*"], []), known_names([], ["*"])):
        assert is_ours("evil.example", known)
