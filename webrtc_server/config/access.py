"""Who may come in."""

from __future__ import annotations

import re

from pydantic import Field, SecretStr, field_validator

from webrtc_server.config.part import Part
from webrtc_server.limits import AUTH_TOKEN_LONGEST, AUTH_TOKEN_SHORTEST

NEW_TOKEN = "python -c 'import secrets; print(secrets.token_urlsafe(24))' makes one"

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+={0,2}")  # RFC 6750 section 2.1, so that it goes into a header as it is


class Access(Part):
    auth_token_file: str | None = Field(
        default=None, min_length=1, description="File that holds the token, in place of LIVE_DIFFUSION_AUTH_TOKEN."
    )
    auth_token: SecretStr | None = Field(
        default=None,
        description=(
            "Token that clients have to send (Authorization: Bearer), and that the page asks for; unset asks for none. "
            f"{AUTH_TOKEN_SHORTEST} to {AUTH_TOKEN_LONGEST} letters, digits and -._~+/"
        ),
    )
    view_token_s: int = Field(
        default=3600, ge=60, le=604_800, description="Seconds for which a link to watch a session can be used."
    )

    @field_validator("auth_token")
    @classmethod
    def _can_be_sent(cls, value: SecretStr | None) -> SecretStr | None:
        token = value.get_secret_value() if value else ""
        fits = AUTH_TOKEN_SHORTEST <= len(token) <= AUTH_TOKEN_LONGEST and _TOKEN.fullmatch(token)
        if value is not None and not fits:
            kind = f"{AUTH_TOKEN_SHORTEST} to {AUTH_TOKEN_LONGEST} letters, digits and -._~+/"
            raise ValueError(f"must be {kind}; {NEW_TOKEN}")
        return value

    @property
    def owner_token(self) -> str:
        """Empty where there is none."""
        return self.auth_token.get_secret_value() if self.auth_token else ""
