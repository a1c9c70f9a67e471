"""The owner's token, and tokens to watch one session that are made from it. Pure: the time is an argument.

A view token is `view_id.expiry.MAC`: the HMAC-SHA-256 of the first two under a key of its own. The server keeps no list
of them, so it holds as long as it says, also in another process with the same owner's token. A library (itsdangerous)
would read the clock itself and sign the time of making instead of the time of expiry, for a dozen lines less.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

SUBPROTOCOL = "live-diffusion"  # of /ws; browsers demand that the server picks one of those they offer
_BEARER = "bearer."  # and this one carries the token, for a page cannot set headers there
_PURPOSE = b"live-diffusion view token"


def from_header(value: str) -> str | None:
    """The token of `Authorization: Bearer TOKEN` (RFC 6750 section 2.1), None if there is none in it."""
    scheme, _, token = value.partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def from_subprotocols(value: str) -> str | None:
    """The token of `Sec-WebSocket-Protocol: live-diffusion, bearer.BASE64URL`; None if there is none that can be read.

    Base64url (RFC 4648 section 5) because a sub-protocol's name may not hold every character of a token.
    """
    offered = [item.strip() for item in value.split(",")]
    encoded = next((item.removeprefix(_BEARER) for item in offered if item.startswith(_BEARER)), None)
    if encoded is None or SUBPROTOCOL not in offered:
        return None
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return ""  # there was one, and it is wrong


class Tokens:
    def __init__(self, owner: str, secret: bytes = b"") -> None:
        """`owner` is empty where everybody is welcome; `secret` then stands for it as what view tokens rest on."""
        self._owner = owner.encode()
        self._key = hmac.digest(self._owner or secret, _PURPOSE, hashlib.sha256)

    @property
    def wanted(self) -> bool:
        return bool(self._owner)

    def is_owners(self, token: str) -> bool:
        """In a time that does not tell how much of it is right."""
        return self.wanted and hmac.compare_digest(token.encode(errors="replace"), self._owner)

    def for_view(self, view_id: str, expires: int) -> str:
        """A token to watch `view_id` until `expires`, in seconds of the Unix epoch."""
        claim = f"{view_id}.{expires}"
        return f"{claim}.{self._mac(claim)}"

    def view_of(self, token: str) -> tuple[str, int] | None:
        """The view id and expiry of a token that was made here; None for any other. It may have expired."""
        claim, _, mac = token.rpartition(".")
        if not hmac.compare_digest(mac.encode(errors="replace"), self._mac(claim).encode()):
            return None
        view_id, _, expires = claim.rpartition(".")
        return view_id, int(expires)

    def _mac(self, claim: str) -> str:
        digest = hmac.digest(self._key, claim.encode(errors="replace"), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
