"""What WHIP and WHEP say in headers and addresses (RFC 9725, draft-ietf-wish-whep). Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Protocol

from pipeline.settings import Settings
from webrtc_server.protocol.error_codes import ClientError
from webrtc_server.protocol.json_guard import parse_object

SDP_TYPE = "application/sdp"
TRICKLE_TYPE = "application/trickle-ice-sdpfrag"  # RFC 8840 section 9
CLIENT_ID = "client_id"  # in the query: the next session with it takes this one's place, and keeps its view_id


# For the documents: the least that is answered. It has no candidates, so nothing ever connects.
EXAMPLE_OFFER = "\r\n".join(
    [
        "v=0",
        "o=- 1 1 IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0",
        "m=video 9 UDP/TLS/RTP/SAVPF 96",
        "c=IN IP4 0.0.0.0",
        "a=mid:0",
        "a=sendonly",
        "a=rtcp-mux",
        "a=rtpmap:96 VP8/90000",
        "a=setup:actpass",
        "a=ice-ufrag:abcd",
        "a=ice-pwd:abcdefghijklmnopqrstuvwx",
        f"a=fingerprint:sha-256 {':'.join(['00'] * 32)}",
        "",
    ]
)
EXAMPLE_FRAGMENT = "a=end-of-candidates\r\n"


def entity_tag(resource_id: str) -> str:
    """The ETag of the ICE session of a publisher or viewer (RFC 9725 section 4.3.1). There is one in a life, for ICE
    restarts are refused, so it follows from the id; it does not tell it.
    """
    return hashlib.sha256(resource_id.encode()).hexdigest()[:16]


class IceServer(Protocol):
    @property
    def urls(self) -> tuple[str, ...]: ...
    @property
    def username(self) -> str | None: ...
    @property
    def credential(self) -> str | None: ...


def links(servers: Iterable[IceServer]) -> list[str]:
    """A value of a Link header for each STUN and TURN address (RFC 9725 section 4.6)."""
    return [
        f'<{url}>; rel="ice-server"'
        + (
            f'; username="{_quoted(server.username)}"; credential="{_quoted(server.credential or "")}"'
            '; credential-type="password"'
            if server.username
            else ""
        )
        for server in servers
        for url in server.urls
    ]


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def settings(query: Mapping[str, str]) -> dict[str, object]:
    """The settings in an address's query, `?prompt=starry night&steps=2`, to be checked as any others.

    A text stands as it is, every other setting as in JSON.
    """
    return {name: _value(name, text) for name, text in query.items() if name != CLIENT_ID}


def _value(name: str, text: str) -> object:
    field = Settings.model_fields.get(name)
    if field is None or isinstance(field.default, str):
        return text
    try:
        value = parse_object(f'{{"{name}": {text}}}')
    except ClientError:
        return text  # and the check of settings says what is wrong with it
    return value[name] if len(value) == 1 else text
