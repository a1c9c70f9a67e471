"""ICE candidates: which of a client's may be probed, and what our answers say. Pure.

A client's candidates are addresses that this server sends packets to, so they are a way into its network (RFC 8826
section 4.2.1). `usable` thins out the lines of an offer; `may_be_probed` judges an address, a resolved name's too.

A server behind one-to-one NAT (a cloud machine, a forwarded port range, a container) does not know the address that
clients reach it at; each of its UDP sockets gets one more host candidate with that address and the same port.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from webrtc_server.limits import CANDIDATE_PORT_MIN, SDP_MDNS_NAMES

PREFIX = "a=candidate:"
HOST_PREFERENCE = 126  # RFC 8445 section 5.1.2.2
BEST = 65535  # of local preferences

WEB_PORTS = (80, 443)  # where TURN servers stand that only a browser's traffic can reach
MDNS_NAME = re.compile(r"[a-zA-Z0-9-]{1,63}\.local")  # draft-ietf-mmusic-mdns-ice-candidates section 3.1.1
# What a cloud tells its machines, secrets among it, beside 169.254.169.254, which is link-local.
METADATA = tuple(map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200", "192.0.0.192", "168.63.129.16")))
THIS_NETWORK = ipaddress.ip_network("0.0.0.0/8")  # RFC 1122 section 3.2.1.3; Linux takes 0.0.0.0 for itself

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def may_be_probed(address: str, port: int, loopback: bool = False) -> bool:
    """Whether packets may be sent to a client's candidate. `address` is one of IPv4 or IPv6, not a name; `loopback`:
    clients on this machine are expected. Addresses of a LAN may be: that is where most browsers are.

    The rule for ports is libwebrtc's own for what pages tell it (p2p/base/port.cc, VerifyCandidate).
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if ip.is_loopback and loopback:
        return CANDIDATE_PORT_MIN <= port <= 65535
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped:  # RFC 8445 section 5.1.1.1 has none of these
            return False
        if ip.sixtofour and _is_denied(ip.sixtofour):
            return False
        if ip.teredo or ip.is_site_local:  # tunnels to IPv4 behind a NAT, switched off long ago; and RFC 3879
            return False
    if _is_denied(ip):
        return False
    return CANDIDATE_PORT_MIN <= port <= 65535 or (port in WEB_PORTS and ip.is_global)


def _is_denied(ip: Address) -> bool:
    """`is_reserved` has broadcast, and of IPv6 what wraps IPv4 for a translator (64:ff9b::/96)."""
    special = ip.is_loopback or ip.is_link_local or ip.is_multicast or ip.is_unspecified or ip.is_reserved
    return special or ip in METADATA or ip in THIS_NETWORK


def usable(lines: Iterable[str]) -> list[str]:
    """The lines of an offer without the candidates that are never probed: other than UDP, of another component than
    the first (we multiplex, RFC 8858), neither address nor mDNS name, and names above SDP_MDNS_NAMES.

    A browser whose candidates are left out is found by its own checks. A line that has not the form of a candidate
    stays, for aiortc to refuse.
    """
    names: set[str] = set()
    return [line for line in lines if not line.startswith(PREFIX) or _is_usable(line, names)]


def _is_usable(line: str, names: set[str]) -> bool:
    words = line.removeprefix(PREFIX).split()
    if len(words) < 6:
        return True
    component, transport, host = words[1], words[2], words[4]
    if transport.lower() != "udp" or component != "1":
        return False
    if MDNS_NAME.fullmatch(host):
        if len(names) < SDP_MDNS_NAMES:
            names.add(host.lower())
        return host.lower() in names
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


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


def _address(candidate: Candidate) -> Address:
    return ipaddress.ip_address(candidate.address)


def _ranked(host: Candidate, preference: int) -> Candidate:
    """RFC 8445 section 5.1.2.1."""
    return replace(host, priority=(HOST_PREFERENCE << 24) + (preference << 8) + 256 - host.component)


def _parse(line: str) -> Candidate:
    foundation, component, transport, priority, address, port, rest = line.removeprefix(PREFIX).split(" ", 6)
    return Candidate(foundation, int(component), transport, int(priority), address, int(port), rest)
