"""Passwords for a TURN server that expire by themselves. Pure.

What coturn calls `use-auth-secret` (draft-uberti-behave-turn-rest-00): the server and coturn share a secret, which
never leaves them; a client gets a name that is the time of expiry, and the HMAC of that name as its password.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

LIFETIME = 3600  # seconds; coturn asks at each refresh (10 minutes), so a longer session needs a new connection


def mint(secret: str, now: float) -> tuple[str, str]:
    """Username and credential; `now` in seconds of the Unix epoch, since coturn compares with its own clock."""
    username = str(int(now) + LIFETIME)
    digest = hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()
    return username, base64.b64encode(digest).decode()
