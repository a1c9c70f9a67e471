"""Tokens: where they are read from, the owner's, and those to watch."""

from __future__ import annotations

import base64

import pytest

from webrtc_server.policy.tokens import Tokens, from_header, from_subprotocols

OWNER = "an-owners-token~of/some+length=="


def encoded(token: str) -> str:
    return base64.urlsafe_b64encode(token.encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    ("value", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer   abc ", "abc"),
        ("", None),
        ("Bearer", None),
        ("Bearer ", None),
        ("Basic abc", None),
    ],
)
def test_header(value: str, token: str | None) -> None:
    assert from_header(value) == token


@pytest.mark.parametrize(
    ("value", "token"),
    [
        (f"live-diffusion, bearer.{encoded(OWNER)}", OWNER),
        (f"bearer.{encoded(OWNER)},live-diffusion", OWNER),
        ("live-diffusion, bearer.!", ""),
        ("live-diffusion, bearer.a", ""),
        (f"live-diffusion, bearer.{encoded('geheim-ä')}", ""),
        (f"bearer.{encoded(OWNER)}", None),  # the server would have none to pick
        ("live-diffusion", None),
        ("", None),
    ],
)
def test_subprotocols(value: str, token: str | None) -> None:
    assert from_subprotocols(value) == token


def test_owner() -> None:
    tokens = Tokens(OWNER)
    assert tokens.is_owners(OWNER)
    for wrong in ("", OWNER[:-1], OWNER + "x", OWNER.upper(), "ä\udc80"):
        assert not tokens.is_owners(wrong)
    assert not Tokens("", b"secret").is_owners("")


def test_a_view_token_names_its_view_and_its_end_and_cannot_be_changed() -> None:
    tokens = Tokens(OWNER)
    token = tokens.for_view("abc", 1000)
    assert tokens.view_of(token) == ("abc", 1000)
    assert Tokens(OWNER).view_of(token) == ("abc", 1000)  # another process of the same server
    assert OWNER not in token
    for changed in (token.replace("abc", "abd"), token.replace("1000", "9000"), token[:-1], token + "=", "", "..", "ä"):
        assert tokens.view_of(changed) is None, changed
    assert Tokens(OWNER + "x").view_of(token) is None


def test_without_an_owners_token_another_secret_stands_for_it() -> None:
    token = Tokens("", b"one").for_view("abc", 1000)
    assert Tokens("", b"one").view_of(token)
    assert Tokens("", b"two").view_of(token) is None
