"""The `view_id` of a session: what those who may watch it, and do nothing else, know of it.

A client that says who it is gets the same one each time: a viewer's link then outlives a lost connection, and OBS finds
the picture again. With an owner's token, also from a server that was started again. It is a one-way function of the
`client_id` under a key, so who watches learns nothing of the client, and who read a `client_id` in some address not
where to watch.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

VIEW_ID_BYTES = 12  # 96 bits
LOGGED = 6  # of its characters
HARD_TO_GUESS = (
    22  # characters of a client_id: 128 random bits in base64; of a shorter one the view_id could be guessed
)


def key_of(owner: str) -> bytes:
    """From the owner's token; without one, a key for as long as this process runs."""
    return hmac.digest(owner.encode() or secrets.token_bytes(), b"live-diffusion view id", hashlib.sha256)


def view_id_for(client_id: str | None, key: bytes) -> str:
    """The same for each session of a client, if its id is HARD_TO_GUESS; otherwise a new one each time."""
    if client_id is None or len(client_id) < HARD_TO_GUESS:
        return secrets.token_urlsafe(VIEW_ID_BYTES)
    digest = hmac.digest(key, client_id.encode(errors="surrogatepass"), hashlib.sha256)
    return base64.urlsafe_b64encode(digest[:VIEW_ID_BYTES]).decode()


def in_log(view_id: str) -> str:
    """Enough to tell sessions apart, and not to watch them."""
    return view_id[:LOGGED]
