"""What lies outside of this machine: how STUN sees it, and whether TURN carries packets. Asked with `--net` only."""

from __future__ import annotations

import asyncio

from webrtc_server.config import Config
from webrtc_server.diagnosis.finding import Finding, ok, problem, warning
from webrtc_server.rtc.probe import NoAnswer, own_address, relay
from webrtc_server.rtc.reach import IceServer, Reach
from webrtc_server.web.tls import addresses

NONE = "no STUN or TURN server is configured; clients on this machine or this network need none"


def relays(config: Config) -> list[Finding]:
    """A round trip to each configured server, one after the other."""
    urls = [(url, server) for server in Reach.of(config).ice_servers() for url in server.urls]
    return [_asked(url, server, config) for url, server in urls] or [ok(NONE)]


def relays_unasked(config: Config) -> list[Finding]:
    """Without `--net`, when nothing is to leave the machine."""
    count = sum(len(server.urls) for server in Reach.of(config).ice_servers())
    return [ok(f"STUN and TURN addresses: {count}, not asked; doctor --net does" if count else NONE)]


def _asked(url: str, server: IceServer, config: Config) -> Finding:
    try:
        if url.startswith("stun"):
            return _seen(url, asyncio.run(own_address(url))[0], config)
        given = asyncio.run(relay(url, server.username, server.credential))
    except NoAnswer as error:
        if url.startswith("stun"):
            return warning(f"{url}: {error}", "Check its name and port, and that UDP may leave this network.")
        return problem(f"{url}: {error}", "Check name, port and secret, and that coturn runs: it logs each request.")
    text = f"{url}: gave {given.address[0]}:{given.address[1]} in {given.seconds * 1000:.0f} ms"
    if not given.carries:
        return warning(
            f"{text}, but no packet came through it",
            "Open its relay ports (coturn: min-port to max-port), and set its external-ip if it is behind NAT.",
        )
    return ok(f"{text}, packets come through it")


def _seen(url: str, address: str, config: Config) -> Finding:
    text = f"{url}: this machine is seen as {address}"
    if address in addresses() or config.is_local:
        return ok(text)
    if config.public_ip is None:
        return ok(f"{text}, behind NAT; LIVE_DIFFUSION_PUBLIC_IP={address} if its ports are forwarded")
    if config.public_ip != address:
        return warning(f"{text}, and configured is {config.public_ip}", f"Set LIVE_DIFFUSION_PUBLIC_IP={address}.")
    return ok(text)
