"""The `view_id` of a session: what those who may watch it, and do nothing else, know of it.

A client that says who it is gets the same one each time, also from a server that was started again: a viewer's link
then outlives a lost connection, and OBS finds the picture again. It is a one-way function of the `client_id`, so who
watches learns nothing of the client.
"""

from __future__ import annotations

import base64
import hashlib
import secrets

VIEW_ID_BYTES = 12  # 96 bits
HARD_TO_GUESS = (
    22  # characters of a client_id: 128 random bits in base64; of a shorter one the view_id could be guessed
)


def view_id_for(client_id: str | None) -> str:
    """The same for each session of a client, if its id is HARD_TO_GUESS; otherwise a new one each time."""
    if client_id is None or len(client_id) < HARD_TO_GUESS:
        return secrets.token_urlsafe(VIEW_ID_BYTES)
    digest = hashlib.sha256(b"live-diffusion view " + client_id.encode(errors="surrogatepass")).digest()
    return base64.urlsafe_b64encode(digest[:VIEW_ID_BYTES]).decode()
