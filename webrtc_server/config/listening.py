"""Where the server listens, how it speaks there, and by which names and through whom it is reached."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path

from pydantic import Field, field_validator

from webrtc_server.config.part import Part, Texts, expanded

TLS_OFF, TLS_AUTO = "off", "auto"

_HOST_NAME = re.compile(r"\*|[A-Za-z0-9._-]+")


class Listening(Part):
    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="Address to listen on; 0.0.0.0 for every network of this machine.",
    )
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    tls: str = Field(
        default=TLS_OFF,
        description=(
            "HTTPS, without which browsers give no camera to pages from other machines: off; auto for a certificate "
            "that this server makes for itself and keeps; or two files in PEM, CERTIFICATE,KEY."
        ),
    )
    insecure_public: bool = Field(
        default=False,
        description=(
            "Listen on an address that other machines reach, and ask for no token: whoever reaches it may use it. "
            "For a network that is trusted, or behind a proxy that checks who comes."
        ),
    )
    allowed_origins: Texts = Field(
        default=(),
        description=(
            "Other web origins whose pages may use this server (https://example.org), between commas; * for any. "
            "The server's own page always may."
        ),
    )
    allowed_hosts: Texts = Field(
        default=(),
        description=(
            "Names by which clients reach this server (studio.local), between commas; * for any. IP addresses, "
            "localhost and the names in allowed_origins always work, and with tls=auto this machine's own. Not asked "
            "where there is a token."
        ),
    )
    trusted_proxies: Texts = Field(
        default=(),
        description=(
            "Addresses or networks of reverse proxies (127.0.0.1), between commas: their X-Forwarded-For "
            "says whose limits count. Nobody else's is believed."
        ),
    )

    @field_validator("tls")
    @classmethod
    def _off_auto_or_files(cls, value: str) -> str:
        if value.lower() in (TLS_OFF, TLS_AUTO):
            return value.lower()
        if len(_files(value)) != 2:
            raise ValueError("must be off, auto, or a certificate and its key: CERTIFICATE,KEY")
        return value

    @field_validator("allowed_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            scheme, _, rest = origin.partition("://")
            if origin != "*" and (scheme not in ("http", "https") or not rest or "/" in rest):
                raise ValueError(f"{origin!r} is not an origin; write https://example.org, without a path, or *")
        return value

    @field_validator("allowed_hosts")
    @classmethod
    def _host_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for host in value:
            if not _HOST_NAME.fullmatch(host):
                raise ValueError(f"{host!r} is not a host name; write studio.local, without scheme and port, or *")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            try:
                ipaddress.ip_network(network)
            except ValueError:
                raise ValueError(f"{network!r} is not an IP address or network") from None
        return value

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches what listens on `host`."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def is_everywhere(self) -> bool:
        """Whether `host` stands for every address of this machine."""
        try:
            return ipaddress.ip_address(self.host).is_unspecified
        except ValueError:
            return False

    @property
    def scheme(self) -> str:
        return "http" if self.tls == TLS_OFF else "https"

    @property
    def tls_files(self) -> tuple[Path, Path] | None:
        """The operator's certificate and key, if `tls` names them."""
        if self.tls in (TLS_OFF, TLS_AUTO):
            return None
        certificate, key = _files(self.tls)
        return expanded(certificate), expanded(key)


def _files(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]
