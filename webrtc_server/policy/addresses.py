"""Where a request comes from, and how much one address may ask for. Pure: the time is an argument."""

from __future__ import annotations

import ipaddress
from collections import Counter, OrderedDict
from collections.abc import Sequence

from webrtc_server.policy.token_bucket import TokenBucket

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LOOPBACK = "loopback"  # the place of this machine itself, and of a proxy on it that is not named
SUBSCRIBER_BITS = 56  # of IPv6, what a household is given (RFC 6177): it could take each of its 256 networks in turn


def place(peer: str | None, forwarded: Sequence[str], proxies: Sequence[Network]) -> str:
    """What the limits of one address are counted for: the peer's address, of IPv6 the network of SUBSCRIBER_BITS.

    Only for a peer that is one of `proxies` does X-Forwarded-For count (`forwarded`, its entries in order), and of it
    the last that is no proxy itself: what stands before that is anybody's claim. A claim is never LOOPBACK,
    which has no limits.
    """
    address = itself = _address(peer or "::1")
    for claim in reversed(forwarded):
        if not _among(address, proxies) or (before := _address(claim)) is None:
            break
        address = before
    if address is None or (address is itself and address.is_loopback):
        return LOOPBACK
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((int(address), SUBSCRIBER_BITS), strict=False))


def is_proxy(peer: str | None, proxies: Sequence[Network]) -> bool:
    return _among(_address(peer or ""), proxies)


def _among(address: ipaddress.IPv4Address | ipaddress.IPv6Address | None, networks: Sequence[Network]) -> bool:
    return address is not None and any(address in network for network in networks)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        return None
    return (address.version == 6 and address.ipv4_mapped) or address  # as a socket of both kinds names IPv4 peers


class Rates:
    """A bucket for each address. At most `most` are remembered: the one heard of least recently is forgotten first."""

    def __init__(self, rate: float, burst: float, most: int) -> None:
        self._rate = rate
        self._burst = burst
        self._most = most
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def wait(self, address: str, now: float) -> float:
        """Seconds until `take` will do; 0 if it will now."""
        bucket = self._buckets.get(address)
        return bucket.next_token(now) - now if bucket else 0.0

    def take(self, address: str, now: float) -> float:
        """0, and one is counted; or the seconds until the next may come."""
        bucket = self._buckets.pop(address, None) or TokenBucket(self._rate, self._burst)
        self._buckets[address] = bucket
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return 0.0 if bucket.take(now) else bucket.next_token(now) - now


class Connections:
    """How many there are, in all and of each address. `None` is an address that stands for many, and has no share."""

    def __init__(self, most: int, most_each: int) -> None:
        self._most = most
        self._most_each = most_each
        self._all = 0
        self._each: Counter[str] = Counter()

    def enter(self, address: str | None) -> bool:
        """Whether there was room; `leave` is to follow then, and only then."""
        if self._all >= self._most or (address is not None and self._each[address] >= self._most_each):
            return False
        self._all += 1
        if address is not None:
            self._each[address] += 1
        return True

    def leave(self, address: str | None) -> None:
        self._all -= 1
        if address is not None:
            self._each[address] -= 1
            self._each += Counter()  # drops what is at zero
