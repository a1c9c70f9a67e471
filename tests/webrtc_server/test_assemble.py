"""Packets to frames."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.packets import packets_of
from webrtc_server.media.assemble import CAPACITY, Assembler, Frame, Packet


def feed(assembler: Assembler, packets: list[Packet]) -> list[Frame]:
    return [frame for packet in packets for frame in assembler.add(packet)]


def stamps(frames: list[Frame]) -> list[int]:
    return [frame.timestamp // 3000 for frame in frames]


def test_frame_leaves_with_its_last_packet() -> None:
    assembler = Assembler()
    packets = packets_of([3, 1])
    assert feed(assembler, packets[:2]) == []
    frame, *others = assembler.add(packets[2])
    assert (frame.timestamp, frame.first, frame.last, frame.key, others) == (0, 0, 2, True, [])
    assert frame.data == b"0.0 0.1 0.2 "
    assert stamps(assembler.add(packets[3])) == [1]
    assert assembler.depth == 0


def test_without_marker_it_leaves_with_the_first_of_the_next() -> None:
    assembler = Assembler()
    packets = packets_of([2, 1, 2], markers=False)
    assert stamps(feed(assembler, packets[:2])) == []
    assert stamps(assembler.add(packets[2])) == [0]
    assert stamps(assembler.add(packets[3])) == [1]


def test_what_waited_behind_a_hole_leaves_at_once() -> None:
    assembler = Assembler()
    packets = packets_of([2, 2, 1, 1])
    assert stamps(feed(assembler, [packets[0], *packets[2:]])) == []
    assert stamps(assembler.add(packets[1])) == [0, 1, 2, 3]


def test_nothing_comes_before_a_key_frame_and_nothing_after_a_gap_but_one() -> None:
    assembler = Assembler()
    packets = packets_of([1, 2, 1, 2, 1], keys={1, 3})
    assert stamps(feed(assembler, [packets[0]])) == []
    assert stamps(feed(assembler, packets[1:3])) == [1]
    assembler.skip_to(4)  # frame 2 is given up
    assert assembler.lacks_key
    assert stamps(feed(assembler, packets[4:])) == [3, 4]
    assert assembler.dropped == {"undecodable": 1}


def test_key_frame_under_way_is_waited_for() -> None:
    assembler = Assembler()
    packets = packets_of([1, 2, 3], keys={0, 2})
    feed(assembler, [packets[0], packets[2], packets[3], packets[5]])
    assembler.skip_to(2)
    assert (assembler.release(), assembler.lacks_key, assembler.next) == ([], False, 3)
    assert stamps(assembler.add(packets[4])) == [2]
    assert assembler.dropped == {"undecodable": 1}


def test_rest_of_a_frame_is_no_frame() -> None:
    assembler = Assembler()
    packets = packets_of([1, 3, 1])
    feed(assembler, [packets[0], packets[2], packets[3], packets[4]])
    assembler.skip_to(2)
    assert assembler.release() == []
    assert assembler.dropped == {"undecodable": 2}
    assert assembler.depth == 0


def test_padding_belongs_to_no_frame() -> None:
    assembler = Assembler()
    first, second = packets_of([1, 1])
    padding = [Packet(number, 0, False, False, False, b"") for number in (1, 2)]
    second = Packet(3, 3000, True, True, False, b"x")
    assert [frame.data for frame in feed(assembler, [first, *padding, second])] == [b"0.0 ", b"x"]


def test_duplicates_and_late_packets_change_nothing() -> None:
    assembler = Assembler()
    packets = packets_of([2, 2, 2])
    assert stamps(feed(assembler, [packets[0], packets[0], packets[1], packets[1], packets[0], *packets])) == [0, 1, 2]


def test_after_a_loss_behind_it_only_a_key_frame_comes() -> None:
    assembler = Assembler()
    packets = packets_of([1, 1, 1], keys={0, 2})
    feed(assembler, packets[:1])
    assembler.lose_chain()
    assert stamps(feed(assembler, packets[1:])) == [2]


def test_a_frame_that_never_ends_is_dropped() -> None:
    assembler = Assembler()
    endless = packets_of([3 * CAPACITY], markers=False)
    assert feed(assembler, endless) == []
    assert assembler.depth <= CAPACITY
    assert assembler.lacks_key


def test_numbers_may_begin_anew() -> None:
    assembler = Assembler()
    feed(assembler, packets_of([1, 2])[:2])
    assembler.restart()
    assert stamps(feed(assembler, packets_of([1, 1], start=-5000))) == [0, 1]
    assert assembler.dropped == {"incomplete": 1}


@pytest.mark.parametrize("markers", [True, False])
@given(data=st.data(), sizes=st.lists(st.integers(1, 6), min_size=1, max_size=30))
def test_every_frame_comes_once_in_order_whatever_the_order_of_packets(
    markers: bool, data: st.DataObject, sizes: list[int]
) -> None:
    packets = packets_of(sizes, markers=markers)
    rest = data.draw(st.permutations(packets[1:] + data.draw(st.lists(st.sampled_from(packets), max_size=20))))
    assembler = Assembler()
    frames = feed(assembler, [packets[0], *rest])
    expected = list(range(len(sizes))) if markers else list(range(len(sizes) - 1))
    assert stamps(frames) == expected
    assert all(frame.data == b"".join(p.data for p in packets[frame.first : frame.last + 1]) for frame in frames)


@given(st.lists(st.tuples(st.integers(-200, 4000), st.integers(0, 3), st.booleans(), st.booleans(), st.booleans())))
def test_nonsense_is_bounded_and_rises(junk: list[tuple[int, int, bool, bool, bool]]) -> None:
    assembler = Assembler()
    last = None
    for number, stamp, marker, key, empty in junk:
        for frame in assembler.add(Packet(number, stamp, marker, key, key, b"" if empty else b"x")):
            assert last is None or frame.first > last
            last = frame.last
        assert assembler.depth <= CAPACITY
