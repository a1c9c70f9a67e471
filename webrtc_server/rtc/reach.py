"""How clients reach this server's media: STUN and TURN servers, public address, port range. Made by `web/app.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from webrtc_server.config import Config
from webrtc_server.policy.turn import mint


@dataclass(frozen=True)
class IceServer:
    """A STUN or TURN server (RFC 7064, RFC 7065)."""

    urls: tuple[str, ...]
    username: str | None = None
    credential: str | None = field(default=None, repr=False)


IceServers = Sequence[IceServer]


@dataclass(frozen=True)
class Reach:
    fixed_servers: IceServers = ()
    turn_urls: tuple[str, ...] = ()
    turn_secret: str = field(default="", repr=False)
    public_ip: str | None = None
    udp_ports: range | None = None

    @classmethod
    def of(cls, config: Config) -> Reach:
        servers = [
            IceServer(server.urls, server.username, server.credential.get_secret_value() if server.credential else None)
            for server in config.ice_servers
        ]
        secret = config.turn_secret.get_secret_value() if config.turn_secret else ""
        return cls(servers, config.turn_url, secret, config.public_ip, config.udp_ports)

    def ice_servers(self) -> IceServers:
        """For one peer or one client: with a TURN password of its own, good for an hour."""
        if not self.turn_urls:
            return self.fixed_servers
        username, credential = mint(self.turn_secret, datetime.now(UTC).timestamp())
        return [*self.fixed_servers, IceServer(self.turn_urls, username, credential)]
