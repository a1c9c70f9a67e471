"""A camera, a bad path and `Inbound`, all pretended, with a seed and a clock that is a number."""

from __future__ import annotations

import heapq
import itertools
import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webrtc_server.media.assemble import CAPACITY, Frame
from webrtc_server.media.holes import KEY_FRAME_SPACING, LIMIT_MAX, LIMIT_MIN
from webrtc_server.media.inbound import MISORDER, Arrived, Inbound

FPS = 30
KEY, DELTA, LATER = b"\x10\x00", b"\x10\x01", b"\x00\x00"  # VP8: first packet of a key frame, of another; a later one


@dataclass
class Path:
    """What happens to packets. `lose` are numbers, from 0, that are lost and all their retransmissions with them."""

    loss: float = 0.0
    reorder: float = 0.0  # seconds that a packet may be late
    duplicate: float = 0.0
    rtt: float = 0.002
    lose: frozenset[int] = frozenset()
    markers: bool = True
    rtx: bool = True
    hears_pli: bool = True
    start: int = 0
    seed: int = 0


@dataclass
class Run:
    shown: list[tuple[float, int, Frame]] = field(default_factory=list)  # when, which
    complete: dict[int, float] = field(default_factory=dict)  # frame to when its last packet came
    keys: list[int] = field(default_factory=list)
    plis: list[float] = field(default_factory=list)
    depth: int = 0
    inbound: Inbound = field(default_factory=Inbound)

    @property
    def numbers(self) -> list[int]:
        return [number for _, number, _ in self.shown]

    @property
    def longest_gap(self) -> float:
        times = [when for when, _, _ in self.shown]
        return max(later - earlier for earlier, later in itertools.pairwise(times))


def run(path: Path, frames: int = 150, key_every: int = 0) -> Run:
    """Send `frames` frames of one to five packets and hear what the receiver says of them."""
    chance, order, result = random.Random(path.seed), itertools.count(), Run()
    events: list[tuple[float, int, str, object]] = []
    sent: dict[int, Arrived] = {}
    frame_of: dict[int, int] = {}
    missing: dict[int, set[int]] = {}
    want_key = False
    woken = -1.0
    packet: Arrived

    def at(when: float, kind: str, what: object) -> None:
        heapq.heappush(events, (when, next(order), kind, what))

    def send(now: float, number: int, again: bool) -> None:
        if number in path.lose or chance.random() < path.loss:
            return
        packet = sent[number]
        packet = Arrived(**(packet.__dict__ | {"retransmitted": again or not path.rtx}))
        for _ in range(1 + (chance.random() < path.duplicate)):
            at(now + path.rtt / 2 + chance.random() * path.reorder, "arrive", (number, packet))

    def look(now: float) -> None:
        nonlocal woken
        actions = result.inbound.tick(now)
        show(now, actions.frames)
        for short in actions.nack:
            at(now + path.rtt / 2, "nack", next(n for n in reversed(sent) if (n + path.start) % 65536 == short))
        if actions.key_frame:
            result.plis.append(now)
            at(now + path.rtt / 2, "pli", None)
        if actions.wake is not None and actions.wake != woken:
            woken = actions.wake
            at(woken, "wake", None)

    def show(now: float, out: list[Frame]) -> None:
        result.shown += [(now, frame.timestamp // 3000, frame) for frame in out]

    for index in range(frames):
        at(index / FPS, "frame", index)
    while events:
        now, _, kind, what = heapq.heappop(events)
        if now > frames / FPS + 2 * LIMIT_MAX:  # a key frame would be asked for, for ever
            break
        if kind == "frame":
            assert isinstance(what, int)
            key = what == 0 or want_key or bool(key_every and what % key_every == 0)
            result.keys += [what] if key else []
            want_key = want_key and not key
            size = chance.randint(1, 5)
            missing[what] = set(range(len(sent), len(sent) + size))
            for part in range(size):
                number = len(sent)
                payload = LATER if part else KEY if key else DELTA
                sent[number] = Arrived(
                    7,
                    (number + path.start) % 65536,
                    what * 3000,
                    path.markers and part == size - 1,
                    "VP8",
                    payload,
                    f"{what}.{part} ".encode(),
                )
                frame_of[number] = what
                send(now + part / 10_000, number, False)
        elif kind == "arrive":
            number, packet = what  # type: ignore[misc]
            left = missing[frame_of[number]]
            left.discard(number)
            if not left:
                result.complete.setdefault(frame_of[number], now)
            show(now, result.inbound.receive(packet, now))
            result.depth = max(result.depth, result.inbound._assembler.depth + result.inbound._holes.open)
            if result.inbound.urgent:
                look(now)
        elif kind == "nack":
            assert isinstance(what, int)
            send(now, what, True)
        elif kind == "pli":
            want_key = path.hears_pli
        else:
            look(now)
    return result


STARTS = (0, 1, 65535, 65534, 65530, 65400, 65281, 32768, 32767, 32700, 255, 256)


@pytest.mark.parametrize("start", STARTS)
def test_loss_is_repaired_wherever_the_numbers_start(start: int) -> None:
    result = run(Path(loss=0.1, reorder=0.005, duplicate=0.05, start=start, seed=1), frames=300)
    assert len(result.numbers) >= 295
    assert result.longest_gap < 0.3
    numbers = result.inbound.numbers()
    assert numbers["packets_recovered"] > 50
    assert numbers["packets_duplicate"] > 10
    assert numbers["frames_assembled"] == len(result.shown)


def test_one_packet_lost_for_good_costs_its_limit_and_a_key_frame() -> None:
    result = run(Path(lose=frozenset({200})))
    gap = [frame for frame in range(150) if frame not in result.numbers]
    assert LIMIT_MIN < result.longest_gap < 0.32
    assert len(result.plis) == 1
    assert result.numbers[result.numbers.index(gap[-1] + 1)] in result.keys
    numbers = result.inbound.numbers()
    assert (numbers["holes_given_up"], numbers["packets_lost"], numbers["plis_sent"]) == (1, 1, 1)
    assert numbers["frames_dropped_undecodable"] + numbers["frames_dropped_incomplete"] == len(gap)
    print(f"one packet lost for good: {result.longest_gap:.3f} s frozen, {len(gap)} frames not shown")  # noqa: T201  a figure


def test_without_pli_the_next_key_frame_is_waited_for() -> None:
    result = run(Path(lose=frozenset({200}), hears_pli=False), key_every=60)
    lost = next(frame for frame in range(150) if frame not in result.numbers)
    shown_again = next(number for number in result.numbers if number > lost)
    assert shown_again % 60 == 0
    assert len(result.plis) >= 2
    assert all(b - a > KEY_FRAME_SPACING - 1e-6 for a, b in itertools.pairwise(result.plis))


def test_what_the_other_side_has_not_agreed_to_is_not_sent() -> None:
    inbound = Inbound()
    inbound.can_nack = inbound.can_ask_key_frame = False
    inbound.receive(Arrived(7, 0, 0, True, "VP8", DELTA, b"x"), 0.0)
    inbound.receive(Arrived(7, 2, 3000, True, "VP8", DELTA, b"x"), 0.0)
    actions = inbound.tick(0.0)
    assert (actions.nack, actions.key_frame) == ((), False)


@pytest.mark.parametrize("rtt", [0.001, 0.05, 0.1, 0.15])
def test_repair_works_over_long_paths(rtt: float) -> None:
    result = run(Path(loss=0.03, rtt=rtt, seed=3), frames=600)
    assert len(result.numbers) > 560
    print(f"rtt {rtt * 1000:.0f} ms: {len(result.numbers)} of 600 shown, longest gap {result.longest_gap:.2f} s")  # noqa: T201  a figure


@pytest.mark.parametrize("change", ["ssrc", "numbers"])
def test_a_sender_that_begins_anew_is_followed(change: str) -> None:
    inbound = Inbound()
    first = run(Path(), frames=30)
    inbound = first.inbound
    ssrc, sequence = (8, 50) if change == "ssrc" else (7, (90 - MISORDER - 500) % 65536)
    again = Arrived(ssrc, sequence, 0, True, "VP8", KEY, b"x")
    stray = Arrived(9, 3, 0, True, "VP8", KEY, b"x", retransmitted=True)
    assert inbound.receive(stray, 2.0) == []
    assert len(inbound.receive(again, 2.0)) == 1
    assert inbound.numbers()["packets_late"] == 1


def test_a_long_silence_is_a_new_beginning_and_asks_for_a_key_frame() -> None:
    inbound = run(Path(), frames=30).inbound
    newest = inbound._unwrapper.peek(0) % 65536
    inbound.receive(Arrived(7, (newest + CAPACITY + 500) % 65536, 90_000, True, "VP8", DELTA, b"x"), 3.0)
    actions = inbound.tick(3.0)
    assert (actions.nack, actions.key_frame) == ((), True)


def test_a_stream_joined_in_its_middle_asks_at_once_and_one_that_begins_well_does_not() -> None:
    middle, beginning = Inbound(), Inbound()
    middle.receive(Arrived(7, 5, 0, True, "VP8", LATER, b"x"), 0.0)
    assert middle.tick(0.0).key_frame
    beginning.receive(Arrived(7, 5, 0, False, "VP8", KEY, b"x"), 0.0)
    assert not beginning.tick(0.0).key_frame


def test_frame_lost_before_the_decoder_and_frame_it_cannot_decode_ask_for_a_key_frame() -> None:
    inbound = run(Path(), frames=30).inbound
    inbound.decode_failed()
    assert inbound.tick(2.0).key_frame
    assert not inbound.tick(2.1).key_frame
    inbound.lose_chain()
    assert inbound.tick(2.1 + KEY_FRAME_SPACING).key_frame
    assert inbound.numbers()["frames_dropped_decoder"] == inbound.numbers()["frames_damaged"] == 1


def test_what_is_missing_before_a_key_frame_is_not_asked_for() -> None:
    inbound = Inbound()
    inbound.receive(Arrived(7, 0, 0, True, "VP8", DELTA, b"x"), 0.0)  # in the middle: nothing can be decoded yet
    assert len(inbound.receive(Arrived(7, 9, 9000, True, "VP8", KEY, b"x"), 0.0)) == 1
    assert inbound.tick(0.0).nack == ()
    assert inbound.tick(LIMIT_MAX).frames == []
    assert inbound.numbers()["holes_given_up"] == 0


def test_packets_after_giving_up_are_late_and_harmless() -> None:
    inbound = Inbound()
    key, late = (Arrived(7, number, number * 3000, True, "VP8", KEY, b"x") for number in (0, 1))
    assert len(inbound.receive(key, 0.0)) == 1
    assert inbound.receive(Arrived(7, 2, 6000, True, "VP8", DELTA, b"x"), 0.0) == []
    inbound.tick(0.0)
    inbound.tick(LIMIT_MIN)
    assert inbound.receive(late, 0.3) == []
    assert inbound.numbers()["packets_late"] == 1


@settings(max_examples=40)
@given(
    st.builds(
        Path,
        loss=st.sampled_from([0.0, 0.02, 0.1, 0.3, 0.6]),
        reorder=st.sampled_from([0.0, 0.01, 0.08]),
        duplicate=st.sampled_from([0.0, 0.2]),
        rtt=st.sampled_from([0.001, 0.04, 0.2]),
        lose=st.frozensets(st.integers(1, 400), max_size=6),
        markers=st.booleans(),
        rtx=st.booleans(),
        hears_pli=st.booleans(),
        start=st.sampled_from(STARTS),
        seed=st.integers(0, 1000),
    )
)
def test_order_once_whole_decodable_timely_and_bounded(path: Path) -> None:
    result = run(path, key_every=50)
    assert result.numbers == sorted(set(result.numbers))
    previous = None
    for when, number, frame in result.shown:
        assert frame.data.startswith(f"{number}.0 ".encode())
        assert frame.data.count(b" ") == frame.last - frame.first + 1
        assert number in result.keys or number - 1 == previous
        previous = number
        if path.markers:
            assert when - result.complete[number] <= LIMIT_MAX + 1e-6
    assert result.depth <= 2 * CAPACITY
    if not path.loss and not path.lose and path.rtx and path.markers:  # nothing is missing but by order
        first = result.numbers[0] if result.numbers else 0
        assert result.numbers == list(range(first, 150)) or path.reorder
