"""Process-wide changes to aiortc and aioice, applied once by `web/app.py`. Importing this module changes nothing.

Proved on aioice 0.13; `tests/webrtc_server/test_patches.py` fails when an upgrade moves what is leaned on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

import aioice.ice
from aiortc import RTCPeerConnection
from aiortc.rtcsctptransport import DataChunk, RTCSctpTransport, tsn_plus_one

from webrtc_server.limits import (
    CANDIDATE_PORT_MIN,
    CANDIDATES,
    RELAY_GATHER_TIMEOUT,
    SCTP_CHUNKS_AHEAD,
    STUN_GATHER_TIMEOUT,
)
from webrtc_server.observe.log import get_logger
from webrtc_server.protocol.candidates import may_be_probed

P = ParamSpec("P")
T = TypeVar("T")

logger = get_logger(__name__)


def offer_loopback() -> None:
    """Also gather 127.0.0.1, which aioice leaves out, after every other address. Repeatable.

    Clients on a machine without a network have no other way; a client elsewhere cannot reach it and does no harm.
    """
    gather = aioice.ice.get_host_addresses
    if getattr(gather, "patched", False):
        return

    def get_host_addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
        return gather(use_ipv4, use_ipv6) + (["127.0.0.1"] if use_ipv4 else [])

    get_host_addresses.patched = True  # type: ignore[attr-defined]  # a mark on a function, for the check above
    aioice.ice.get_host_addresses = get_host_addresses


def refuse_candidates(loopback: bool) -> None:
    """Send nothing to candidates that `candidates.may_be_probed` rules out, also where an mDNS name stood for the
    address; aioice itself probes all there are. The newest call counts.
    """
    validate = aioice.ice.validate_remote_candidate
    upstream = getattr(validate, "upstream", validate)

    def validate_remote_candidate(candidate: aioice.Candidate, host: str) -> str:
        address: str = upstream(candidate, host)
        if not may_be_probed(address, candidate.port, loopback):
            raise ValueError("not an address to send to")  # aioice logs it and goes on without
        return address

    validate_remote_candidate.upstream = upstream  # type: ignore[attr-defined]  # for the next call
    aioice.ice.validate_remote_candidate = validate_remote_candidate


def bound_reflexive_candidates(loopback: bool) -> None:
    """The same for addresses that a client's checks come from (RFC 8445 section 7.3.1.3), which aioice answers with
    checks of its own; and no more than CANDIDATES of both kinds, for one client can send from any number of ports. The
    port is that of a NAT, and may be any. The newest call counts.
    """
    incoming = aioice.ice.Connection.check_incoming
    upstream = getattr(incoming, "upstream", incoming)

    def check_incoming(
        self: aioice.Connection, message: aioice.stun.Message, addr: tuple[str, int], protocol: aioice.ice.StunProtocol
    ) -> None:
        candidates = self._remote_candidates
        known = any((candidate._network_host, candidate.port) == addr[:2] for candidate in candidates)
        if known or (len(candidates) < CANDIDATES and may_be_probed(addr[0], CANDIDATE_PORT_MIN, loopback)):
            upstream(self, message, addr, protocol)

    check_incoming.upstream = upstream  # type: ignore[attr-defined]  # for the next call
    aioice.ice.Connection.check_incoming = check_incoming  # type: ignore[method-assign]


def end_consent_checks_with_the_connection() -> None:
    """A connection closed in the moment it was made starts its consent checks (RFC 7675) after that, and, having no
    pair to check, never ends them: a task and all it refers to would leak. Repeatable.
    """
    query = aioice.ice.Connection.query_consent
    if getattr(query, "patched", False):
        return

    async def query_consent(self: aioice.ice.Connection) -> None:
        if not self._closing:
            await query(self)

    query_consent.patched = True  # type: ignore[attr-defined]  # as above
    aioice.ice.Connection.query_consent = query_consent  # type: ignore[method-assign]


def forget_what_ends_half_way() -> None:
    """A client that is gone while its connection or a message is under way is nothing to report: aiortc does both in
    tasks that nobody waits for, so each would leave a traceback in the log. Such a connection is never made, which its
    owner's time limit notices. Repeatable.
    """
    if getattr(RTCSctpTransport._data_channel_flush, "patched", False):
        return
    connect = "_RTCPeerConnection__connect"
    setattr(RTCPeerConnection, connect, _silent(getattr(RTCPeerConnection, connect), Exception))
    flush = RTCSctpTransport._data_channel_flush
    RTCSctpTransport._data_channel_flush = _silent(flush, ConnectionError)  # type: ignore[method-assign]


def _silent(
    work: Callable[P, Coroutine[Any, Any, None]], expected: type[Exception]
) -> Callable[P, Coroutine[Any, Any, None]]:
    async def silent(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            await work(*args, **kwargs)
        except expected as error:
            logger.debug("a connection ended half way", error=type(error).__name__)

    silent.patched = True  # type: ignore[attr-defined]  # as above
    return silent


def bound_channels() -> None:
    """A client that overruns the window (RFC 9260 section 6.2) loses its data channels, for aiortc would hold a message
    without end and go through all of it with each piece; more than SCTP_CHUNKS_AHEAD are to be sent again. Repeatable.
    """
    receive = RTCSctpTransport._receive_data_chunk
    if getattr(receive, "patched", False):
        return

    async def receive_data_chunk(self: RTCSctpTransport, chunk: DataChunk) -> None:
        if self._association_state is RTCSctpTransport.State.CLOSED:
            return
        if len(chunk.user_data) > self._advertised_rwnd:
            await self._abort()
            self._set_state(RTCSctpTransport.State.CLOSED)
            self._inbound_streams.clear()
            return
        last = self._last_received_tsn
        is_next = last is not None and chunk.tsn == tsn_plus_one(last)
        if is_next or len(self._sack_misordered) < SCTP_CHUNKS_AHEAD:
            await receive(self, chunk)

    receive_data_chunk.patched = True  # type: ignore[attr-defined]  # as above
    RTCSctpTransport._receive_data_chunk = receive_data_chunk  # type: ignore[method-assign]


def bound_gathering() -> None:
    """A STUN or TURN server that does not answer costs an offer 5 s upstream; here what a living one needs. The answer
    then goes out with the other candidates. Repeatable.
    """
    ice = aioice.ice
    if getattr(ice.server_reflexive_candidate, "patched", False):
        return
    ice.server_reflexive_candidate = _bounded(ice.server_reflexive_candidate, STUN_GATHER_TIMEOUT)
    ice.relayed_candidate = _bounded(ice.relayed_candidate, RELAY_GATHER_TIMEOUT)


def _bounded(gather: Callable[P, Coroutine[Any, Any, T]], limit: float) -> Callable[P, Coroutine[Any, Any, T]]:
    async def bounded(*args: P.args, **kwargs: P.kwargs) -> T:
        async with asyncio.timeout(limit):
            return await gather(*args, **kwargs)

    bounded.patched = True  # type: ignore[attr-defined]  # as above
    return bounded
