"""Packets of pretended frames, for the pure units: frame n has the time stamp 3000 n and says so in its data."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from webrtc_server.media.assemble import Packet


def packets_of(
    sizes: Sequence[int], keys: Collection[int] = (0,), markers: bool = True, start: int = 0
) -> list[Packet]:
    """`sizes`: of each frame, in packets. Numbers rise from `start`."""
    packets: list[Packet] = []
    for index, size in enumerate(sizes):
        for part in range(size):
            first, last = part == 0, part == size - 1
            packets.append(
                Packet(
                    number=start + len(packets),
                    timestamp=index * 3000,
                    marker=markers and last,
                    begins=first,
                    key=first and index in keys,
                    data=f"{index}.{part} ".encode(),
                )
            )
    return packets
