"""The addresses of an answer, and which of an offer are probed."""

from __future__ import annotations

import pytest

from tests.fakes.offers import candidate
from webrtc_server.limits import CANDIDATE_PORT_MIN, SDP_MDNS_NAMES
from webrtc_server.protocol.candidates import for_clients, has_candidates, may_be_probed, usable

SDP = "\r\n".join(
    [
        "v=0",
        "m=video 5000 UDP/TLS/RTP/SAVPF 96",
        "a=candidate:aa 1 udp 2130706431 127.0.0.1 5000 typ host",
        "a=candidate:bb 1 udp 2130706431 10.0.0.5 5001 typ host",
        "a=candidate:cc 1 udp 2130706431 fd00::5 5002 typ host",
        "a=candidate:dd 1 udp 1694498815 203.0.113.9 6000 typ srflx raddr 10.0.0.5 rport 5001",
        "a=end-of-candidates",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "a=candidate:bb 1 udp 2130706431 10.0.0.5 5001 typ host",
        "",
    ]
)


def addresses(sdp: str) -> list[list[tuple[str, str]]]:
    """Of each media section: address and port in the order of the lines."""
    sections = sdp.split("\r\nm=")[1:]
    found = [[line.split(" ") for line in section.split("\r\n") if "candidate:" in line] for section in sections]
    return [[(words[4], words[5]) for words in section] for section in found]


def test_public_address_first_loopback_last_and_others_as_they_were() -> None:
    answer = for_clients(SDP, "198.51.100.7")
    assert addresses(answer) == [
        [
            ("198.51.100.7", "5001"),
            ("10.0.0.5", "5001"),
            ("fd00::5", "5002"),
            ("127.0.0.1", "5000"),
            ("203.0.113.9", "6000"),
        ],
        [("198.51.100.7", "5001"), ("10.0.0.5", "5001")],
    ]
    assert answer.endswith("typ host\r\n")
    assert "a=candidate:dd 1 udp 1694498815 203.0.113.9 6000 typ srflx raddr 10.0.0.5 rport 5001\r\na=end" in answer
    others = [line for line in SDP.split("\r\n") if "candidate:" not in line]
    assert [line for line in answer.split("\r\n") if "candidate:" not in line] == others


def test_priorities_and_foundations_differ_and_the_former_fall() -> None:
    lines = [line for line in for_clients(SDP, "198.51.100.7").split("\r\n") if "typ host" in line][:4]
    priorities = [int(line.split(" ")[3]) for line in lines]
    assert priorities == sorted(set(priorities), reverse=True)
    assert priorities[0] == 2130706431
    assert len({line.split(" ")[0] for line in lines}) == 4


@pytest.mark.parametrize(
    ("public", "expected"),
    [
        (None, ["10.0.0.5", "fd00::5", "127.0.0.1"]),
        ("fd00::99", ["fd00::99", "10.0.0.5", "fd00::5", "127.0.0.1"]),
        ("10.0.0.5", ["10.0.0.5", "fd00::5", "127.0.0.1"]),  # its own already
    ],
)
def test_only_for_sockets_that_it_can_stand_for(public: str | None, expected: list[str]) -> None:
    assert [address for address, _ in addresses(for_clients(SDP, public))[0]][:-1] == expected


def test_an_answer_without_candidates_is_known() -> None:
    bare = "\r\n".join(line for line in SDP.split("\r\n") if "candidate" not in line)
    assert has_candidates(SDP)
    assert not has_candidates(bare)
    assert for_clients(bare, "198.51.100.7") == bare


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "192.168.1.7", "172.16.0.1", "100.64.0.1", "8.8.8.8", "fd00::1", "2600::1"]
)
def test_what_a_browser_has_is_probed(address: str) -> None:
    assert may_be_probed(address, 50_000)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.9.10",
        "::1",
        "169.254.169.254",  # a cloud's metadata
        "fd00:ec2::254",
        "100.100.100.200",
        "169.254.1.1",
        "fe80::1",
        "fe80::1%eth0",
        "224.0.0.251",
        "ff02::fb",
        "255.255.255.255",
        "240.0.0.1",
        "0.0.0.0",
        "0.0.0.1",
        "::",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",  # NAT64
        "2002:a9fe:a9fe::1",  # 6to4
        "2001::1",  # Teredo
        "2001:0:ffff::1",
        "fec0::1",  # site-local
        "168.63.129.16",  # what Azure tells its machines
        "2130706433",  # 127.0.0.1 in other spellings
        "0x7f000001",
        "127.1",
        "0177.0.0.1",
        "10.0.0.1 ",
        "localhost",
        "",
    ],
)
def test_what_no_browser_elsewhere_has_is_not_probed(address: str) -> None:
    assert not may_be_probed(address, 50_000)


def test_loopback_where_it_is_expected() -> None:
    assert may_be_probed("127.0.0.1", 50_000, loopback=True)
    assert may_be_probed("::1", 50_000, loopback=True)
    assert not may_be_probed("127.0.0.1", 80, loopback=True)
    assert not may_be_probed("169.254.169.254", 50_000, loopback=True)


@pytest.mark.parametrize(
    ("address", "port", "probed"),
    [
        ("10.0.0.1", CANDIDATE_PORT_MIN, True),
        ("10.0.0.1", CANDIDATE_PORT_MIN - 1, False),
        ("10.0.0.1", 65_535, True),
        ("10.0.0.1", 65_536, False),
        ("10.0.0.1", 443, False),
        ("8.8.8.8", 443, True),
        ("8.8.8.8", 53, False),
        ("8.8.8.8", 0, False),
    ],
)
def test_ports_of_services_are_not_probed(address: str, port: int, probed: bool) -> None:
    assert may_be_probed(address, port) is probed


def test_candidates_that_are_never_probed_are_left_out_of_the_offer() -> None:
    good = [candidate("10.0.0.1"), candidate("fd00::1", transport="UDP"), candidate("a-1.local")]
    bad = [candidate("10.0.0.1", 9, "tcp"), candidate("10.0.0.1", component=2), candidate("example.org")]
    odd = "a=candidate:1 1 udp\r\n"  # for aiortc to refuse
    lines = "".join([*good, *bad, odd, "a=end-of-candidates\r\n"]).splitlines()
    assert usable(lines) == "".join([*good, odd, "a=end-of-candidates\r\n"]).splitlines()


def test_mdns_names_are_looked_up_up_to_the_limit() -> None:
    lines = [candidate(f"{n}.local").strip() for n in range(SDP_MDNS_NAMES + 1)]
    assert usable([*lines, lines[0]]) == [*lines[:-1], lines[0]]
