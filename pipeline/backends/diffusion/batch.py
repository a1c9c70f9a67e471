"""Many sessions' frames in one pass through the model: one encode, one UNet call, one decode for each size.

Every row of these calls is computed by itself, so pictures cannot mix. If a call fails, or one stream gives rows that
do not fit, the streams are put back and go one by one: only the one at fault loses its frame. Nothing here waits for
the device.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

import torch
from torch import Tensor
from torch.cuda import OutOfMemoryError

from pipeline.backends.diffusion import steady
from pipeline.backends.diffusion.device import Device, raise_if_lost
from pipeline.backends.diffusion.live import LiveStream
from pipeline.backends.diffusion.regions import Region

logger = logging.getLogger(__name__)

MOST_ROWS = 128  # of one UNet call: 16 sessions of 4 steps, each with the negative prompt beside


class Network(Protocol):
    """See `regions.Region`."""

    def __call__(self, *columns: Sequence[Tensor]) -> Tensor: ...


class Networks(Protocol):
    """See `networks.Networks`."""

    @property
    def device(self) -> Device: ...
    @property
    def encode(self) -> Network: ...
    @property
    def predict(self) -> Network: ...
    @property
    def decode(self) -> Network: ...


@dataclass(frozen=True, eq=False)
class Pass:
    """One stream's part: `picture` is (1, 3, height, width) of the stream's size. Without `shown`, nothing comes out
    of it; the stream only warms up."""

    stream: LiveStream
    picture: Tensor
    shown: bool = True


class Painted(NamedTuple):
    """A picture (1, 3, height, width), and on the device whether all its values are numbers: to look would wait."""

    picture: Tensor
    finite: Tensor


Outcome: TypeAlias = Painted | Exception | None


class Batches:
    """Remembers how much the device can take at once."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self._look = Region("look", steady.look, networks.device)
        self._settled = Region("settled", steady.settled, networks.device)
        self._most_rows = MOST_ROWS

    def run(self, passes: Sequence[Pass]) -> list[Outcome]:
        """For each pass, in order: its picture, None if it is not shown, or why there is none. Raises DeviceLost."""
        outcomes: dict[int, Outcome] = {}
        for indices in self._calls(passes):
            outcomes |= zip(indices, self._run_safely([passes[index] for index in indices]), strict=True)
        return [outcomes[index] for index in range(len(passes))]

    def _calls(self, passes: Sequence[Pass]) -> Iterator[list[int]]:
        """Those of one size together, as many as the device can take."""
        groups: dict[tuple[int, int], list[int]] = defaultdict(list)
        for index, one in enumerate(passes):
            groups[one.stream.size].append(index)
        for group in groups.values():
            call: list[int] = []
            rows = 0
            for index in group:
                more = passes[index].stream.row_count
                if call and rows + more > self._most_rows:
                    yield call
                    call, rows = [], 0
                call.append(index)
                rows += more
            yield call

    def _run_safely(self, passes: Sequence[Pass], once_more: bool = True) -> Sequence[Outcome]:
        """`once_more`: a single pass without memory is tried again, when what is kept for later was given back."""
        before = [one.stream.memory for one in passes]
        try:
            with torch.no_grad():
                return self._run(passes)
        except Exception as error:
            for one, memory in zip(passes, before, strict=True):
                one.stream.memory = memory
            self._look_at(error, passes)
            if len(passes) > 1:
                logger.exception("a batch of %d failed and is painted one by one", len(passes))
            elif not once_more or not isinstance(error, OutOfMemoryError):
                return [error]
        if len(passes) == 1:  # out here: the error would keep what it failed with
            self._networks.device.free_cache()
            return self._run_safely(passes, once_more=False)
        return [outcome for one in passes for outcome in self._run_safely([one])]

    def _look_at(self, error: Exception, passes: Sequence[Pass]) -> None:
        device = self._networks.device
        if isinstance(error, OutOfMemoryError):
            device.free_cache()
            rows = sum(one.stream.row_count for one in passes)
            if rows <= self._most_rows and len(passes) > 1:
                self._most_rows = max(1, rows // 2)
                logger.warning("no memory for %d rows at once: from now on %d at most", rows, self._most_rows)
        else:
            raise_if_lost(device, error)

    def _run(self, passes: Sequence[Pass]) -> list[Outcome]:
        streams, networks = [one.stream for one in passes], self._networks
        pictures, seen = self._steady_cameras(passes)
        latents = networks.encode(pictures)
        asked = [stream.rows(latent[None]) for stream, latent in zip(streams, latents, strict=True)]
        lengths = [len(rows.latents) for rows in asked]
        answers = networks.predict(*zip(*asked, strict=True)).split(lengths)
        # While a change is on its way, each picture is shown as it is: an average would hold it up.
        seen = [what if stream.settled else None for stream, what in zip(streams, seen, strict=True)]
        clean = [one.finish(*pair) for one, *pair in zip(streams, asked, answers, strict=True)]
        shown = [index for index, one in enumerate(passes) if one.shown]
        outcomes: list[Outcome] = [None] * len(passes)
        if not shown:
            return outcomes
        decoded = networks.decode([clean[index] for index in shown])
        # One bad value spoils the sum, and a sum is a tenth of the work of looking at each value.
        finite = decoded.flatten(1).sum(1, dtype=torch.float32).isfinite()
        painted = self._steady_paintings([(streams[index], seen[index]) for index in shown], decoded)
        for index, picture, sound in zip(shown, painted, finite, strict=True):
            outcomes[index] = Painted(picture, sound)
        return outcomes

    def _steady_cameras(self, passes: Sequence[Pass]) -> tuple[list[Tensor], list[Tensor | None]]:
        """The pictures to paint, and for each what `look` has seen, if it has."""
        pictures = [one.picture for one in passes]
        seen: list[Tensor | None] = [None] * len(passes)
        known = [(index, one.stream) for index, one in enumerate(passes) if one.stream.camera is not None]
        if known:
            means = [stream.camera for _, stream in known if stream.camera is not None]
            least = [stream.least_gain for _, stream in known]
            looked = self._look([pictures[index] for index, _ in known], means, least)
            for (index, _), what in zip(known, looked.split(1), strict=True):
                pictures[index], seen[index] = what[:, :3].to(pictures[index].dtype), what
        for one, picture in zip(passes, pictures, strict=True):
            one.stream.camera = picture if one.stream.steadiness else None
        return pictures, seen

    def _steady_paintings(self, streams: Sequence[tuple[LiveStream, Tensor | None]], new: Tensor) -> list[Tensor]:
        """The pictures to show for what was painted anew."""
        paintings = list(new.split(1))
        averaged = [
            (index, stream.painted, what)
            for index, (stream, what) in enumerate(streams)
            if stream.painted is not None and what is not None
        ]
        if averaged:
            indices, before, seen = zip(*averaged, strict=True)
            settled = self._settled([paintings[index] for index in indices], before, seen)
            for index, picture in zip(indices, settled.split(1), strict=True):
                paintings[index] = picture
        for (stream, _), picture in zip(streams, paintings, strict=True):
            stream.painted = picture if stream.steadiness else None
        return paintings
