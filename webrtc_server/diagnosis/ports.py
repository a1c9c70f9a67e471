"""The sockets: is the server's address free, are there UDP ports for its sessions, does UDP pass on this machine."""

from __future__ import annotations

import errno
import json
import os
import socket
import ssl
from http.client import HTTPConnection, HTTPException, HTTPSConnection

from webrtc_server.config import Config
from webrtc_server.diagnosis.finding import Finding, ok, problem, warning
from webrtc_server.limits import MEASURED_PLACES
from webrtc_server.web.tls import addresses

ANSWER_TIMEOUT = 2.0  # seconds for what holds our port to say what it is
PACKET_TIMEOUT = 1.0  # seconds for a packet to come back on this machine
PORTS_A_SESSION = 4  # at most, of a client whose media are not bundled; most take one


def http(config: Config) -> list[Finding]:
    """Whether `host` and `port` can be listened on, and who does if not."""
    if config.port == 0:
        return [ok(f"port: any that is free on {config.host}")]
    at = f"port {config.port} on {config.host}"
    try:
        places = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in places:
            with socket.socket(family, kind, protocol) as listener:
                if os.name == "posix":  # as asyncio does: a port that was just left is free
                    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                listener.bind(address)
                listener.listen()
    except socket.gaierror:
        return [problem(f"{config.host} is no name or address", "Set LIVE_DIFFUSION_HOST to one of this machine.")]
    except OSError as error:
        return [_not_free(config, at, error)]
    return [ok(f"{at} is free")]


def _not_free(config: Config, at: str, error: OSError) -> Finding:
    if error.errno == errno.EADDRINUSE:
        if version := running_version(config.host, config.port):
            return problem(
                f"{at}: a Live Diffusion server ({version}) listens there already",
                "Use that one, stop it, or choose another --port.",
            )
        return problem(f"{at} is taken by another program", "Stop it, or choose another --port.")
    if error.errno == errno.EACCES:
        return problem(f"{at} is not for this user", "Choose a --port of 1024 or above, and a proxy for 80 and 443.")
    if error.errno == errno.EADDRNOTAVAIL:
        return problem(f"{at}: this machine has no such address", "Set --host to one of its own, or to 0.0.0.0.")
    return problem(f"{at} cannot be listened on: {error.strerror}", "Choose another --host or --port.")


def running_version(host: str, port: int) -> str | None:
    """What a server of ours says there of itself; None if there is another, or none. Nothing is sent but a GET."""
    target = "127.0.0.1" if host in ("0.0.0.0", "") else "::1" if host == "::" else host
    unverified = ssl._create_unverified_context()
    for connection in (
        HTTPConnection(target, port, timeout=ANSWER_TIMEOUT),
        HTTPSConnection(target, port, timeout=ANSWER_TIMEOUT, context=unverified),
    ):
        try:
            connection.request("GET", "/api/version")
            said = json.loads(connection.getresponse().read(1000))
        except (OSError, HTTPException, ValueError):
            continue
        finally:
            connection.close()
        if isinstance(said, dict) and {"version", "protocol"} <= set(said):
            return str(said["version"])[:40]
    return None


def udp_range(config: Config) -> list[Finding]:
    """Whether the range has a free port for each session on each address of this machine."""
    ports = config.udp_ports
    if ports is None:
        return [ok("UDP ports for media: any; a firewall in front of this machine must let all of them in")]
    places = config.max_sessions or MEASURED_PLACES
    wanted = PORTS_A_SESSION * (places + config.queue_length)
    tried = ports[: 2 * wanted]  # a range may be of tens of thousands
    free, where = min((_free_ports(address, tried), address) for address in addresses())
    text = f"UDP ports {ports[0]} to {ports[-1]}: {free} of {len(tried)} tried are free on {where}"
    fix = f"Make it {wanted} ports: LIVE_DIFFUSION_UDP_PORT_MIN={ports[0]}, _MAX={min(65535, ports[0] + wanted - 1)}"
    if free < places:
        return [problem(f"{text}, for {places} sessions at a time", f"{fix}; and stop what else uses them.")]
    if free < wanted:
        return [warning(f"{text}; some browsers take {PORTS_A_SESSION}, and those in line need theirs", f"{fix}.")]
    return [ok(text)]


def _free_ports(address: str, ports: range) -> int:
    return sum(_is_free(address, port) for port in ports)


def _is_free(address: str, port: int) -> bool:
    try:
        with _udp_socket(address, port):
            return True
    except OSError:
        return False


def udp(config: Config) -> list[Finding]:
    """A packet there and back on loopback, and on each address that clients on the network would use."""
    findings = []
    dead = [address for address in addresses() if not passes(address)]
    here = [address for address in addresses() if address not in dead]
    if here:
        findings.append(ok(f"UDP passes on {', '.join(here)}"))
    for address in dead:
        fix = "Let UDP pass in this machine's firewall (nft list ruleset, ufw status); /ws works without it."
        findings.append((problem if address == "127.0.0.1" else warning)(f"UDP does not pass on {address}", fix))
    if not config.is_local and not [address for address in here if address not in ("127.0.0.1", "::1")]:
        findings.append(warning("this machine has no network address: nobody else reaches it", "Connect it."))
    return findings


def passes(address: str) -> bool:
    """Whether a datagram comes from one socket on `address` to another, and one back."""
    try:
        with _udp_socket(address, 0) as one, _udp_socket(address, 0) as other:
            for sender, receiver in ((one, other), (other, one)):
                receiver.settimeout(PACKET_TIMEOUT)
                sender.sendto(b"live-diffusion", receiver.getsockname())
                if receiver.recvfrom(100)[0] != b"live-diffusion":
                    return False
    except OSError:
        return False
    return True


def _udp_socket(address: str, port: int) -> socket.socket:
    """Raises OSError."""
    made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        made.bind((address, port))
    except OSError:
        made.close()
        raise
    return made
