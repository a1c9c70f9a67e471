"""How video finds its way: servers that help with it, addresses, ports, and how much of it there may be."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import NoDecode

from webrtc_server.config.part import Part, Texts, items

_ICE_SCHEMES = ("stun:", "stuns:", "turn:", "turns:")


class IceServer(BaseModel):
    """One entry of `ice_servers`, with the names that browsers use."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    urls: tuple[str, ...]
    username: str | None = None
    credential: SecretStr | None = None

    @field_validator("urls", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("urls")
    @classmethod
    def _ice_urls(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for url in value:
            if not url.startswith(_ICE_SCHEMES):
                # Not the value: a list cut apart at its commas ends here with a password in it.
                raise ValueError(f"must start with one of {' '.join(_ICE_SCHEMES)}")
        return value


def _ice_servers(value: object) -> object:
    servers = items(value)
    if not isinstance(servers, list):
        return servers
    return [{"urls": server} if isinstance(server, str) else server for server in servers]


class Media(Part):
    ice_servers: Annotated[tuple[IceServer, ...], NoDecode, BeforeValidator(_ice_servers)] = Field(
        default=(),
        description=(
            "STUN and TURN servers: addresses between commas, or a JSON list of "
            '{"urls", "username", "credential"}. None are needed on one machine or one network.'
        ),
    )
    ice_loopback: bool = Field(
        default=False,
        description=(
            "Also offer 127.0.0.1 as an address for media, for clients on the same machine. "
            "Done anyhow where the server listens on a loopback address only."
        ),
    )
    video_bitrate_kbps: int | None = Field(
        default=None,
        ge=200,
        le=100_000,
        description=(
            "The most kilobits a second of the video sent to one client; unset is what the size of the picture needs: "
            "1500 for 640x480, 3400 for 1280x720. A link that carries less is noticed, and gets less."
        ),
    )
    turn_url: Texts = Field(
        default=(),
        description=(
            "Addresses of a coturn server with use-auth-secret (turn:turn.example.org:3478), between commas. "
            "Each client gets a password of its own, which expires after an hour."
        ),
    )
    turn_secret_file: str | None = Field(
        default=None, min_length=1, description="File that holds that secret, in place of LIVE_DIFFUSION_TURN_SECRET."
    )
    turn_secret: SecretStr | None = Field(
        default=None, description="The secret shared with that coturn server, its static-auth-secret."
    )
    public_ip: str | None = Field(
        default=None,
        description="Address at which clients reach this machine, if it is behind one-to-one NAT (cloud, container).",
    )
    udp_port_min: int | None = Field(
        default=None,
        ge=1024,
        le=65535,
        description="First UDP port for media, 1024 to 65535; unset takes any. A session needs one, on each address.",
    )
    udp_port_max: int | None = Field(default=None, ge=1024, le=65535, description="Last UDP port for media.")

    @field_validator("turn_url")
    @classmethod
    def _turn_urls(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for url in value:
            if not url.startswith(("turn:", "turns:")):
                raise ValueError("must start with turn: or turns:")
        return value

    @field_validator("turn_secret")
    @classmethod
    def _secret_with_url(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if bool(value and value.get_secret_value()) != bool(info.data.get("turn_url")):
            raise ValueError("turn_url and turn_secret go together: set both or neither")
        return value

    @field_validator("public_ip")
    @classmethod
    def _ip_address(cls, value: str | None) -> str | None:
        try:
            return value if value is None else str(ipaddress.ip_address(value))
        except ValueError:
            raise ValueError(f"{value!r} is not an IP address; a name does not do here") from None

    @field_validator("udp_port_max")
    @classmethod
    def _whole_range(cls, value: int | None, info: ValidationInfo) -> int | None:
        lowest = info.data.get("udp_port_min")
        if (value is None) != (lowest is None):
            raise ValueError("udp_port_min and udp_port_max go together: set both or neither")
        if value is not None and lowest is not None and value < lowest:
            raise ValueError(f"must not be below udp_port_min, {lowest}")
        return value

    @property
    def udp_ports(self) -> range | None:
        """The ports for media, or None for any."""
        if self.udp_port_min is None or self.udp_port_max is None:
            return None
        return range(self.udp_port_min, self.udp_port_max + 1)
