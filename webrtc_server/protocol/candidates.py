"""The ICE candidates of an answer: a public address added, the likely ones first. Pure.

A server behind one-to-one NAT (a cloud machine, a forwarded port range, a container) does not know the address that
clients reach it at; each of its UDP sockets gets one more host candidate with that address and the same port.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace

PREFIX = "a=candidate:"
HOST_PREFERENCE = 126  # RFC 8445 section 5.1.2.2
BEST = 65535  # of local preferences


@dataclass(frozen=True)
class Candidate:
    """RFC 8839 section 5.1. `rest` is what follows the port: the type, and what belongs to it."""

    foundation: str
    component: int
    transport: str
    priority: int
    address: str
    port: int
    rest: str

    @property
    def is_udp_host(self) -> bool:
        return self.transport.lower() == "udp" and self.rest.startswith("typ host")

    def line(self) -> str:
        return (
            f"{PREFIX}{self.foundation} {self.component} {self.transport} {self.priority} "
            f"{self.address} {self.port} {self.rest}"
        )


def has_candidates(sdp: str) -> bool:
    return f"\n{PREFIX}" in sdp


def for_clients(sdp: str, public_ip: str | None) -> str:
    """Our own answer, its host candidates in the order in which a client should try them: public address, others,
    loopback; then what is not a host candidate. Equal otherwise."""
    lines: list[str] = []
    block: list[Candidate] = []  # of candidates in a row: those of one media section
    for line in sdp.split("\r\n"):
        if line.startswith(PREFIX):
            block.append(_parse(line))
            continue
        lines += [candidate.line() for candidate in _ordered(block, public_ip)]
        block = []
        lines.append(line)
    return "\r\n".join(lines)


def _ordered(block: list[Candidate], public_ip: str | None) -> list[Candidate]:
    hosts = [candidate for candidate in block if candidate.is_udp_host]
    others = [candidate for candidate in block if not candidate.is_udp_host]
    public = [
        _at(public_ip, index, host) for index, host in enumerate(hosts) if public_ip and _stands_for(host, public_ip)
    ]
    loopback = [host for host in hosts if _address(host).is_loopback]
    near = [host for host in hosts if host not in loopback and host.address != public_ip]
    own = [host for host in hosts if host.address == public_ip]
    ranked = [*own, *public, *near, *loopback]
    return [_ranked(host, BEST - rank) for rank, host in enumerate(ranked)] + others


def _at(public_ip: str, index: int, host: Candidate) -> Candidate:
    return replace(host, foundation=f"public{index}", address=public_ip)


def _stands_for(host: Candidate, public_ip: str) -> bool:
    """A socket of loopback cannot be reached from outside, nor one of the other IP version."""
    address, public = _address(host), ipaddress.ip_address(public_ip)
    return address.version == public.version and not address.is_loopback and address != public


def _address(candidate: Candidate) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(candidate.address)


def _ranked(host: Candidate, preference: int) -> Candidate:
    """RFC 8445 section 5.1.2.1."""
    return replace(host, priority=(HOST_PREFERENCE << 24) + (preference << 8) + 256 - host.component)


def _parse(line: str) -> Candidate:
    foundation, component, transport, priority, address, port, rest = line.removeprefix(PREFIX).split(" ", 6)
    return Candidate(foundation, int(component), transport, int(priority), address, int(port), rest)
