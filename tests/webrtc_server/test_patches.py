"""What the patches lean on is still there, and the patches do what they are for."""

from __future__ import annotations

import asyncio
import time

import aioice.ice
import pytest

from webrtc_server.rtc import patches


def test_loopback_comes_last_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["10.0.0.1"])
    patches.offer_loopback()
    patches.offer_loopback()
    assert aioice.ice.get_host_addresses(True, False) == ["10.0.0.1", "127.0.0.1"]
    assert aioice.ice.get_host_addresses(False, True) == ["10.0.0.1"]


async def test_connection_closed_in_the_moment_it_was_made_leaves_no_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"])
    patches.end_consent_checks_with_the_connection()
    patches.end_consent_checks_with_the_connection()
    one, other = aioice.Connection(ice_controlling=True), aioice.Connection(ice_controlling=False)
    for here, there in ((one, other), (other, one)):
        await here.gather_candidates()
        for candidate in here.local_candidates:
            await there.add_remote_candidate(candidate)
        await there.add_remote_candidate(None)
        there.remote_username, there.remote_password = here.local_username, here.local_password
    connecting = [asyncio.create_task(connection.connect()) for connection in (one, other)]
    deadline = time.monotonic() + 5
    while not one._check_list_done and time.monotonic() < deadline:  # `connect` has yet to hear of it
        await asyncio.sleep(0)
    await one.close()
    await asyncio.gather(*connecting, return_exceptions=True)
    await other.close()
    await asyncio.sleep(0.05)
    assert asyncio.all_tasks() == {asyncio.current_task()}
