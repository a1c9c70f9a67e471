"""Networks recorded for few shapes: when, with which rows, and what happens where it cannot be done."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from pipeline.backends.diffusion import regions
from pipeline.backends.diffusion.device import Cpu, Recording
from pipeline.backends.diffusion.regions import BUCKETS, RECORD_AFTER, Region


class Recorder(Cpu):
    """Remembers what was recorded, and cannot do it on command."""

    def __init__(self) -> None:
        super().__init__(rehearses=True)
        self.recorded: list[tuple[int, ...]] = []
        self.unable = False

    def record(self, function: Callable[..., Tensor], inputs: Sequence[Tensor]) -> Recording:
        if self.unable:
            raise RuntimeError("operation not permitted when stream is capturing")
        self.recorded.append(tuple(inputs[0].shape))
        return super().record(function, inputs)


@pytest.fixture
def device() -> Recorder:
    return Recorder()


@pytest.fixture
def region(device: Recorder) -> Region:
    return Region("double", lambda rows, factors: rows * factors.view(-1, 1), device)


def call(region: Region, count: int, start: int = 0, width: int = 3) -> None:
    """With rows in pieces of different length, and the result checked."""
    rows = torch.arange(start, start + count * width).view(count, width).float()
    factors = torch.arange(count) + 2.0
    cut = count // 2
    pieces = [rows[:cut], rows[cut:]] if cut else [rows]
    assert torch.equal(region(pieces, [factors]), rows * factors.view(-1, 1))


def test_few_shapes_serve_all_numbers_of_rows(region: Region, device: Recorder) -> None:
    for index in range(RECORD_AFTER + 2):
        for count in range(1, 20):
            call(region, count, index)
    assert sorted(device.recorded) == [(bucket, 3) for bucket in BUCKETS]


def test_a_shape_that_comes_once_is_not_recorded(region: Region, device: Recorder) -> None:
    for width in range(1, 60):
        call(region, 2, width=width)
    assert device.recorded == []
    assert len(region._calls) <= regions.MOST_RECORDINGS


def test_prepared_before_the_first_call(region: Region, device: Recorder) -> None:
    region.prepare(torch.zeros(1, 3), torch.zeros(1))
    assert device.recorded == [(bucket, 3) for bucket in BUCKETS]
    call(region, 5)
    assert len(device.recorded) == len(BUCKETS)


def test_an_answer_outlives_the_next_call(region: Region) -> None:
    region.prepare(torch.zeros(1, 3), torch.zeros(1))
    first = region([torch.ones(2, 3)], [torch.ones(2)])
    region([torch.zeros(2, 3)], [torch.ones(2)])
    assert first.tolist() == [[1.0] * 3] * 2


def test_the_callers_rows_are_left_alone(region: Region) -> None:
    example, factors = torch.ones(1, 3), torch.ones(1)
    region.prepare(example, factors)
    call(region, 1, start=7)
    assert example.tolist() == [[1.0] * 3]


def test_what_cannot_be_recorded_is_computed(
    region: Region, device: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    device.unable = True
    for index in range(RECORD_AFTER + 5):
        call(region, 3, index)
    assert [record.message for record in caplog.records] == [
        "double for 4 rows is not recorded: operation not permitted when stream is capturing"
    ]


def test_recordings_are_bounded_and_the_one_longest_unused_goes(
    region: Region, device: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regions, "MOST_RECORDINGS", 2)
    monkeypatch.setattr(regions, "RECORD_AFTER", 0)
    for width in (1, 2, 1, 3, 1, 2):
        call(region, 1, width=width)
    assert [shape[1] for shape in device.recorded] == [1, 2, 3, 2]


def test_without_recording_nothing_is_filled_up() -> None:
    seen: list[int] = []

    def count(rows: Tensor) -> Tensor:
        seen.append(len(rows))
        return rows

    region = Region("count", count, Cpu())
    for rows in (3, 5):
        region([torch.zeros(rows, 2)])
    assert seen == [3, 5]
