"""Reachability: port range, public address, TURN passwords, servers that do not answer."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import socket
import time
from collections.abc import Iterator

import aiohttp
import aioice.ice
import pytest

from tests.conftest import StartServer
from tests.fakes.rtc_client import OfferRefused, RtcClient
from webrtc_server.config import Config
from webrtc_server.policy.turn import LIFETIME, mint
from webrtc_server.rtc import patches, udp_range
from webrtc_server.rtc.reach import Reach

SECRET = "a-secret-nobody-may-see"


def host_ports(sdp: str) -> set[int]:
    return {int(line.split(" ")[5]) for line in sdp.splitlines() if "candidate:" in line and "typ host" in line}


@pytest.fixture
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """One socket a session, so that ports can be counted."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: [])


@pytest.fixture
def silent_server() -> Iterator[int]:
    """The port of a STUN or TURN server that never answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


def free_ports(count: int) -> tuple[int, int]:
    """First and last of `count` neighbouring UDP ports that are free."""
    for first in range(42000, 60000, 10):
        try:
            for port in range(first, first + count):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                    sock.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first, first + count - 1
    raise AssertionError("no free ports")


async def test_media_uses_the_ports_of_the_range_until_they_are_used_up(
    start_server: StartServer, loopback_only: None
) -> None:
    first, last = free_ports(4)  # the clients share the event loop, and so the range, with the server
    server = await start_server("identity", udp_port_min=first, udp_port_max=last)
    one, two, three, four = (RtcClient(server.url) for _ in range(4))
    await one.connect(data_channel=False)
    await two.connect(data_channel=False)
    sdps = [sdp for client in (one, two) for sdp in (client.answer["sdp"], client.pc.localDescription.sdp)]
    ports = [host_ports(sdp) for sdp in sdps]
    assert set.union(*ports) == set(range(first, last + 1))
    await one.frames(3)
    with pytest.raises(OfferRefused) as refused:
        await three.connect(data_channel=False)
    assert refused.value.problem["code"] == "ice_failed"
    assert f"{first} to {last}, is used up" in refused.value.problem["detail"]
    await one.close()
    async with asyncio.timeout(5):
        while len(server.manager.sessions) > 1:
            await asyncio.sleep(0.02)
    await four.connect(data_channel=False)
    assert host_ports(four.answer["sdp"]) < ports[0] | ports[1]
    await four.close()
    await two.close()


async def test_range_turns_leaves_others_alone_and_is_taken_back() -> None:
    loop = asyncio.get_running_loop()
    first, last = free_ports(3)
    undo = udp_range.use(loop, range(first, last + 1))
    taken = []
    for _ in range(2):
        transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
        taken.append(transport.get_extra_info("sockname")[1])
        transport.close()
        await asyncio.sleep(0)
    client, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=("127.0.0.1", first))
    assert taken == [first, first + 1]
    assert not first <= client.get_extra_info("sockname")[1] <= last
    client.close()
    with pytest.raises(OSError, match="assign requested address"):
        await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("192.0.2.1", 0))
    undo()
    free, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
    assert not first <= free.get_extra_info("sockname")[1] <= last
    free.close()


async def test_public_address_is_in_the_answer_and_harms_no_local_client(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await start_server("identity", public_ip="198.51.100.7")
    async with RtcClient(server.url) as client:
        lines = [line for line in client.answer["sdp"].splitlines() if line.startswith("a=candidate:")]
        hosts = [line.split(" ")[4] for line in lines]
        if hosts != ["127.0.0.1"] * len(hosts):  # a machine with no other address has no socket for it
            assert hosts[0] == "198.51.100.7"
        assert hosts[-1] == "127.0.0.1"
        await client.frames(3)


@pytest.mark.parametrize("kind", ["stun", "turn"])
async def test_a_silent_server_does_not_hold_the_answer_up(
    start_server: StartServer, silent_server: int, kind: str
) -> None:
    url = f"{kind}:127.0.0.1:{silent_server}"
    options = {"ice_servers": url} if kind == "stun" else {"turn_url": url, "turn_secret": SECRET}
    server = await start_server("identity", **options)
    client = RtcClient(server.url)
    begin = time.monotonic()
    async with client:
        took = time.monotonic() - begin
        print(f"offer with a silent {kind} server: {took:.2f} s")  # noqa: T201  a figure
        assert took < (1.0 if kind == "stun" else 2.6)
        await client.frames(3)


def test_gathering_is_bounded_once_and_what_is_bounded_is_still_there() -> None:
    patches.bound_gathering()
    bounded = aioice.ice.server_reflexive_candidate, aioice.ice.relayed_candidate
    patches.bound_gathering()
    assert bounded == (aioice.ice.server_reflexive_candidate, aioice.ice.relayed_candidate)
    used = aioice.ice.Connection.get_component_candidates.__code__.co_names
    nested = [
        getattr(const, "co_names", ()) for const in aioice.ice.Connection.get_component_candidates.__code__.co_consts
    ]
    assert {"server_reflexive_candidate", "relayed_candidate"} <= {*used, *(name for names in nested for name in names)}


def test_turn_password_is_what_coturn_computes() -> None:
    username, credential = mint(SECRET, 1_700_000_000.7)
    assert username == str(1_700_000_000 + LIFETIME)
    expected = hmac.new(SECRET.encode(), username.encode(), hashlib.sha1).digest()
    assert base64.b64decode(credential) == expected


async def test_browser_gets_a_fresh_turn_password_and_never_the_secret(
    start_server: StartServer, capsys: pytest.CaptureFixture[str], silent_server: int
) -> None:
    url = f"turn:127.0.0.1:{silent_server}"
    config = Config(ice_servers="stun:a.example", turn_url=url, turn_secret=SECRET)  # type: ignore[arg-type]
    reach = Reach.of(config)
    assert SECRET not in repr(config) + repr(reach) + repr(reach.ice_servers())
    server = await start_server("identity", turn_url=url, turn_secret=SECRET)
    async with aiohttp.ClientSession(server.url) as http, http.get("/api/ice") as response:
        text = await response.text()
        (entry,) = (await response.json())["iceServers"]
    assert entry["urls"] == [url]
    assert 0 <= int(entry["username"]) - LIFETIME - time.clock_gettime(time.CLOCK_REALTIME) + 5 < 10
    assert entry["credential"] == mint(SECRET, int(entry["username"]) - LIFETIME)[1]
    assert SECRET not in text
    async with RtcClient(server.url):
        pass
    shown = capsys.readouterr()
    assert SECRET not in shown.out + shown.err
