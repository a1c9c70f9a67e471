"""The addresses of an answer."""

from __future__ import annotations

import pytest

from webrtc_server.protocol.candidates import for_clients, has_candidates

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
