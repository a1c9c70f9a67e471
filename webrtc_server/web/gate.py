"""Who may ask for what, before any route sees the request: a name of ours, a token, and not too much of it.

What is not in OPEN asks for the owner's token, so that a route forgotten here is closed and not open. Where a token is
configured no name is asked for: a page cannot have the token of another, and there are no cookies to be carried along.
"""

from __future__ import annotations

import ipaddress
import math
import secrets
import time
from datetime import UTC, datetime

from aiohttp import web
from aiohttp.typedefs import Handler

from webrtc_server.config import Config
from webrtc_server.limits import (
    ADDRESSES,
    CHANGES_BURST,
    CHANGES_PER_SECOND,
    GUESSES_BURST,
    GUESSES_PER_SECOND,
    STARTS_BURST,
    STARTS_PER_SECOND,
)
from webrtc_server.policy import hosts
from webrtc_server.policy.addresses import LOOPBACK, Rates, place
from webrtc_server.policy.tokens import Tokens, from_header, from_subprotocols
from webrtc_server.protocol.error_codes import ClientError, Code
from webrtc_server.web.middleware import SAFE_METHODS
from webrtc_server.web.tls import own_names

# The page asks for the token, and must be there for that; its controls are drawn from the schema. Health is for
# machines that have none. None of it tells of any user.
OPEN = frozenset({"/", "/static", "/view/{view_id}", "/api/settings/schema", "/api/version", "/healthz", "/readyz"})
# A view token will do as well; who watches may need a TURN server, too.
WATCHING = frozenset({"/whep/{view_id}", "/whep/sessions/{viewer_id}", "/api/ice"})
LEAVING = "/whep/sessions/{viewer_id}"
STARTING = frozenset({("POST", "/offer"), ("GET", "/ws"), ("POST", "/whip"), ("POST", "/whep/{view_id}")})
REBOUND = "loopback by another name"  # whose guesses are: a page's that had its name point here, or a proxy's


class Gate:
    def __init__(self, config: Config) -> None:
        self._tokens = Tokens(config.owner_token, secrets.token_bytes())
        self._view_token_s = config.view_token_s
        names = (*config.allowed_hosts, config.host, *own_names(config))
        self._names = hosts.known_names(names, config.allowed_origins)
        self._proxies = [ipaddress.ip_network(network) for network in config.trusted_proxies]
        self._guesses = Rates(GUESSES_PER_SECOND, GUESSES_BURST, ADDRESSES)
        self._starts = Rates(STARTS_PER_SECOND, STARTS_BURST, ADDRESSES)
        self._changes = Rates(CHANGES_PER_SECOND, CHANGES_BURST, ADDRESSES)

    def view_token(self, view_id: str) -> tuple[str, int]:
        """A token to watch `view_id`, and for how many seconds it can be used."""
        return self._tokens.for_view(view_id, int(_wall_clock()) + self._view_token_s), self._view_token_s

    @web.middleware
    async def check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Raises ClientError `host_denied`, `unauthorized`, `rate_limited`."""
        resource = request.match_info.route.resource
        if resource is None or resource.canonical in OPEN:
            return await handler(request)
        if not self._tokens.wanted and not hosts.is_ours(request.headers.get("Host"), self._names):
            raise ClientError(Code.HOST_DENIED)
        came_from = place(request.remote, _forwarded(request), self._proxies)
        if self._tokens.wanted:
            guesser = came_from
            if came_from == LOOPBACK and not hosts.is_ours(request.headers.get("Host"), self._names):
                guesser = REBOUND  # so that the wrong guesses of such a page lock out nobody who sits here
            self._authorise(request, resource.canonical, guesser)
        if came_from != LOOPBACK:  # this machine's own programs, or a proxy nobody named: no address to count for
            starts = (request.method, resource.canonical) in STARTING
            rates = self._starts if starts else self._changes if request.method not in SAFE_METHODS else None
            if rates and (wait := rates.take(came_from, time.monotonic())):
                raise _too_many("Too many requests from your address.", wait)
        return await handler(request)

    def _authorise(self, request: web.Request, route: str, guesser: str) -> None:
        token = from_header(request.headers.get("Authorization", ""))
        if token is None and route == "/ws":
            token = from_subprotocols(request.headers.get("Sec-WebSocket-Protocol", ""))
        if token is None:
            raise ClientError(Code.UNAUTHORIZED)
        now = time.monotonic()
        if wait := self._guesses.wait(guesser, now):  # before the comparison: a right one must not show either
            raise _too_many("Too many wrong tokens from your address.", wait)
        if self._tokens.is_owners(token):
            return
        view = self._tokens.view_of(token)
        if view is None:
            self._guesses.take(guesser, now)
        elif route in WATCHING and _may_watch(request, route, *view):
            return
        raise ClientError(Code.UNAUTHORIZED, "The token is not right here, or no longer.")


def _may_watch(request: web.Request, route: str, view_id: str, expires: int) -> bool:
    """Whether a token made for `view_id` will do. To leave, an old one does: a viewer's address is a secret itself."""
    if route == LEAVING:
        return True
    return _wall_clock() < expires and request.match_info.get("view_id", view_id) == view_id


def _forwarded(request: web.Request) -> list[str]:
    return ",".join(request.headers.getall("X-Forwarded-For", [])).split(",")


def _too_many(message: str, wait: float) -> ClientError:
    seconds = math.ceil(wait)
    return ClientError(Code.RATE_LIMITED, message, f"Try again in {seconds} s.", retry_after=seconds)


def _wall_clock() -> float:
    """Seconds of the Unix epoch, which another process of this server counts as well."""
    return datetime.now(UTC).timestamp()
