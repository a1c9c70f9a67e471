"""Which names this server goes by: the defence against DNS rebinding. Pure.

A page whose own name was made to point at this server (rebinding) sends that name as Host, and its requests are of the
same origin as the page. So the name has to be known. A page served from an IP address cannot be moved like that, and
an address as Host is therefore always good: nobody has to list those of the machine.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

ANY = "*"
HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")  # RFC 9110 section 7.2, names as in the DNS


def known_names(hosts: Iterable[str], origins: Iterable[str]) -> frozenset[str]:
    """The names given as `hosts`, and those in the addresses of `origins`; `*` among either is any name."""
    named = {ANY if origin == ANY else urlsplit(origin).hostname or "" for origin in origins}
    return frozenset({host.lower().rstrip(".") for host in hosts} | named) - {""}


def is_ours(header: str | None, known: frozenset[str]) -> bool:
    """Whether a request with this Host header was meant for this server."""
    if ANY in known:
        return True
    match = HOST.fullmatch(header or "")
    if match is None:
        return False
    name = match[1].lower().rstrip(".")
    if name in known or name == "localhost" or name.endswith(".localhost"):  # RFC 6761 section 6.3
        return True
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
