"""Whose limits count for a request, and the limits themselves, one more and one less."""

from __future__ import annotations

import ipaddress

import pytest

from webrtc_server.policy.addresses import LOOPBACK, Connections, Rates, is_proxy, place

PROXIES = [ipaddress.ip_network("127.0.0.1"), ipaddress.ip_network("10.0.0.0/8")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("192.0.2.1", [""], "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.1"], "192.0.2.1"),  # nobody named this one a proxy
        ("127.0.0.1", [""], LOOPBACK),
        ("127.0.0.1", ["192.0.2.7"], "192.0.2.7"),
        ("127.0.0.1", ["6.6.6.6", " 192.0.2.7"], "192.0.2.7"),  # the first is the client's own claim
        ("127.0.0.1", ["6.6.6.6", "192.0.2.7", "10.1.2.3"], "192.0.2.7"),  # two proxies in a row
        ("127.0.0.1", ["10.1.2.3"], "10.1.2.3"),
        ("10.1.2.3", ["192.0.2.7", "junk\r\n"], "10.1.2.3"),
        ("::ffff:192.0.2.1", [""], "192.0.2.1"),
        ("::1", ["192.0.2.7"], LOOPBACK),
        ("2001:db8:1:2:3:4:5:6", [""], "2001:db8:1::/56"),
        ("2001:db8:1:ff:3:4:5:6", [""], "2001:db8:1::/56"),
        ("2001:db8:1:100::", [""], "2001:db8:1:100::/56"),
        ("127.0.0.1", ["127.0.0.1"], "127.0.0.1"),  # a claim, of which the rates hold
        ("10.1.2.3", ["::1"], "::/56"),
        ("10.1.2.3", ["127.0.0.1", "127.0.0.1"], "127.0.0.1"),
        (None, [""], LOOPBACK),  # a Unix socket
    ],
)
def test_place(peer: str | None, forwarded: list[str], expected: str) -> None:
    assert place(peer, forwarded, PROXIES) == expected


def test_proxies_are_told_from_others() -> None:
    assert is_proxy("10.255.0.1", PROXIES)
    assert not is_proxy("11.0.0.1", PROXIES)
    assert not is_proxy(None, PROXIES)


def test_a_burst_and_then_a_rate_for_each_address() -> None:
    rates = Rates(0.5, 3, 10)
    assert [rates.take("a", 100.0) for _ in range(4)] == [0, 0, 0, 2.0]
    assert rates.take("b", 100.0) == 0
    assert rates.wait("a", 101.0) == 1.0
    assert rates.wait("a", 102.0) == rates.wait("never heard of", 102.0) == 0
    assert [rates.take("a", 102.0), rates.take("a", 102.0)] == [0, 2.0]


def test_the_address_heard_of_least_recently_is_forgotten() -> None:
    rates = Rates(0.5, 1, 2)
    for address in ("a", "b", "a", "c"):  # b goes
        rates.take(address, 0.0)
    assert rates.wait("a", 0.0) > 0
    assert rates.wait("b", 0.0) == 0
    assert len(rates._buckets) == 2


def test_connections_in_all_and_each() -> None:
    room = Connections(4, 2)
    assert [room.enter("a"), room.enter("a"), room.enter("a")] == [True, True, False]
    assert [room.enter("b"), room.enter(None), room.enter(None)] == [True, True, False]
    room.leave("a")
    assert [room.enter("c"), room.enter("d")] == [True, False]
    for address in ("a", "b", "c", None):
        room.leave(address)
    assert not room._each
    assert room.enter("a")
