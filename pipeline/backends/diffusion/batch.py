"""Many sessions' frames in one pass through the model: one encode, one UNet call, one decode for each size.

Every row of these calls is computed by itself, so pictures cannot mix. If a call fails, or one stream gives rows that
do not fit, the streams are put back and go one by one: only the one at fault loses its frame.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

from pipeline.backends.diffusion.live import LiveStream, Rows

logger = logging.getLogger(__name__)

BUCKETS = (1, 2, 4, 8, 12, 16)  # sizes of calls on a GPU, above that multiples of 8: few shapes to make kernels for


class Networks(Protocol):
    """The parts of a model that paint; see `loader.Model`."""

    @property
    def device(self) -> torch.device: ...

    def encode(self, pictures: Tensor) -> Tensor:
        """(n, 3, height, width), -1 to 1, to latents (n, 4, h, w)."""

    def predict(self, rows: Rows) -> Tensor:
        """The UNet's answer, as large as the latents of `rows`."""

    def decode(self, latents: Tensor) -> Tensor:
        """The inverse of `encode`."""


@dataclass(frozen=True, eq=False)
class Pass:
    """One stream's part: `picture` is (1, 3, height, width) of the stream's size. Without `shown`, nothing comes out
    of it; the stream only warms up."""

    stream: LiveStream
    picture: Tensor
    shown: bool = True


Outcome: TypeAlias = Tensor | Exception | None


def run(networks: Networks, passes: Sequence[Pass]) -> list[Outcome]:
    """For each pass, in order: its picture (1, 3, height, width), None if it is not shown, or why there is none."""
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index, one in enumerate(passes):
        groups[one.stream.size].append(index)
    outcomes: dict[int, Outcome] = {}
    for indices in groups.values():
        outcomes |= zip(indices, _run_safely(networks, [passes[index] for index in indices]), strict=True)
    return [outcomes[index] for index in range(len(passes))]


def _run_safely(networks: Networks, passes: Sequence[Pass]) -> Sequence[Outcome]:
    before = [one.stream.memory for one in passes]
    try:
        with torch.no_grad():
            return _run(networks, passes)
    except Exception as error:
        for one, memory in zip(passes, before, strict=True):
            one.stream.memory = memory
        if len(passes) == 1:
            return [error]
        logger.exception("a batch of %d failed and is painted one by one", len(passes))
    return [outcome for one in passes for outcome in _run_safely(networks, [one])]


def _run(networks: Networks, passes: Sequence[Pass]) -> list[Outcome]:
    count = len(passes)
    latents = networks.encode(_filled(torch.cat([one.picture for one in passes]), networks.device))[:count]
    asked = [one.stream.rows(latent[None]) for one, latent in zip(passes, latents, strict=True)]
    gathered = Rows(*(_filled(torch.cat(column), networks.device) for column in zip(*asked, strict=True)))
    lengths = [len(rows.latents) for rows in asked]
    answers = networks.predict(gathered)[: sum(lengths)].split(lengths)
    clean = [one.stream.finish(*pair) for one, *pair in zip(passes, asked, answers, strict=True)]
    shown = [latent for one, latent in zip(passes, clean, strict=True) if one.shown]
    if not shown:
        return [None] * count
    pictures = networks.decode(_filled(torch.cat(shown), networks.device))
    # One bad value spoils the sum, and a sum is a tenth of the work of looking at each value.
    finite = pictures.flatten(1).sum(1, dtype=torch.float32).isfinite().tolist()
    decoded = zip(pictures, finite, strict=True)  # what filled the bucket comes last, and is not asked for
    return [_outcome(one, *next(decoded)) if one.shown else None for one in passes]


def _outcome(one: Pass, picture: Tensor, finite: bool) -> Outcome:
    if finite:
        return picture[None]
    one.stream.restart()  # what is no number stays none in the stream's latents
    return ArithmeticError("the model gave values that are no numbers")


def bucket(count: int) -> int:
    """The number of rows that a call of `count` rows is made with on a GPU."""
    return next((size for size in BUCKETS if size >= count), -(-count // 8) * 8)


def _filled(rows: Tensor, device: torch.device) -> Tensor:
    """On a GPU the last row is repeated until the bucket is full; a CPU would compute them in vain."""
    missing = bucket(len(rows)) - len(rows) if device.type == "cuda" else 0
    return torch.cat([rows, rows[-1:].expand(missing, *rows.shape[1:])]) if missing else rows
