"""What the engine computes on, and the one file that speaks CUDA: lanes of work, marks in them, recordings.

A lane is a sequence of work that runs beside the other lanes (a CUDA stream); a mark is a place in a lane that others
can wait for (an event); a recording is a function's kernels, sent to the GPU as one (a graph). On a CPU everything is
done at once, so that the same code runs there, and in tests, without a branch of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from pipeline.errors import DeviceLost

Lane = Literal["upload", "compute", "download", "prompts"]
PRIORITIES = {"compute": -1}  # lower goes first: a prompt is encoded where frames leave room
WARM_UP_RUNS = 2  # of a function before it is recorded: libraries choose their kernels and take their memory in these


class Mark(Protocol):
    """A place in a lane."""

    def synchronize(self) -> None:
        """Wait, in this thread, until all work before the mark is done. Raises RuntimeError if some of it failed."""


class Recording(NamedTuple):
    """`replay` computes `output` anew from what then is in the inputs that were recorded with; both stay in place."""

    replay: Callable[[], None]
    output: Tensor


class Device(Protocol):
    """See `Cpu` and `Cuda`. Used by one thread, but for the lane `prompts`."""

    name: str  # for the user
    torch_device: torch.device
    dtype: torch.dtype  # of weights and latents
    staged: bool  # pictures cross by pinned memory, and are fitted on the device
    records: bool

    def lane(self, lane: Lane) -> AbstractContextManager[object]:
        """What is begun inside goes into this lane."""

    def mark(self) -> Mark:
        """Here, in the lane that is entered."""

    def after(self, mark: Mark) -> None:
        """What follows in the lane that is entered waits for `mark`; this thread does not."""

    def adopt(self, tensor: Tensor) -> None:
        """It was made in another lane and is used in this one: its memory is not used anew there before this lane is
        done with it."""

    def pinned(self, size: int) -> Tensor:
        """`size` bytes that can be copied to and from the device while other things go on."""

    def record(self, function: Callable[..., Tensor], inputs: Sequence[Tensor]) -> Recording:
        """Run `function` and keep what it does. Raises RuntimeError if it does what cannot be recorded."""

    def free_cache(self) -> None:
        """Give back memory that is kept for later, after an allocation has failed."""

    def is_alive(self) -> bool:
        """False if nothing can be computed any more: after some errors CUDA answers nothing but errors."""


class _Past:
    """A mark on a CPU, where whatever was begun is done."""

    def synchronize(self) -> None:
        pass


class Cpu:
    """Everything is done at once."""

    def __init__(self, rehearses: bool = False) -> None:
        """`rehearses`: go the GPU's way as far as a CPU can, for tests and to measure."""
        self.name = "cpu"
        self.torch_device = torch.device("cpu")
        self.dtype = precision(self.torch_device)
        self.staged = self.records = rehearses

    def lane(self, lane: Lane) -> AbstractContextManager[object]:
        return nullcontext()

    def mark(self) -> Mark:
        return _Past()

    def after(self, mark: Mark) -> None:
        pass

    def adopt(self, tensor: Tensor) -> None:
        pass

    def pinned(self, size: int) -> Tensor:
        return torch.empty(size, dtype=torch.uint8)

    def record(self, function: Callable[..., Tensor], inputs: Sequence[Tensor]) -> Recording:
        """The function is called again at each replay, and only what lies in `output` changes."""
        output = function(*inputs).clone()
        return Recording(lambda: _replace(output, function(*inputs)), output)

    def free_cache(self) -> None:
        pass

    def is_alive(self) -> bool:
        return True


def _replace(output: Tensor, new: Tensor) -> None:
    output.copy_(new)


class Cuda:
    """Streams beside the default one, and one memory pool for all recordings."""

    def __init__(self, records: bool = True) -> None:
        self.torch_device = torch.device("cuda", torch.cuda.current_device())
        self.name = torch.cuda.get_device_name(self.torch_device)
        self.dtype = precision(self.torch_device)
        self.staged = True
        self.records = records
        lanes: tuple[Lane, ...] = ("upload", "compute", "download", "prompts")
        self._streams = {lane: torch.cuda.Stream(self.torch_device, PRIORITIES.get(lane, 0)) for lane in lanes}
        torch.backends.cudnn.benchmark = True  # of this process: few shapes come, so each is worth the best kernel
        # Recordings are replayed one after the other in the compute lane, so what one needs in between may lie where
        # another has it; outputs stay apart, since whoever records keeps them.
        self._pool = torch.cuda.graph_pool_handle()

    def lane(self, lane: Lane) -> AbstractContextManager[object]:
        return torch.cuda.stream(self._streams[lane])

    def mark(self) -> Mark:
        event = torch.cuda.Event(blocking=True)  # a thread that waits sleeps, it does not spin
        event.record()
        return event

    def after(self, mark: Mark) -> None:
        assert isinstance(mark, torch.cuda.Event)
        torch.cuda.current_stream(self.torch_device).wait_event(mark)

    def adopt(self, tensor: Tensor) -> None:
        tensor.record_stream(torch.cuda.current_stream(self.torch_device))

    def pinned(self, size: int) -> Tensor:
        return torch.empty(size, dtype=torch.uint8, pin_memory=True)

    def record(self, function: Callable[..., Tensor], inputs: Sequence[Tensor]) -> Recording:
        with self.lane("compute"):
            for _ in range(WARM_UP_RUNS):
                function(*inputs)
            graph = torch.cuda.CUDAGraph()
            # Not `torch.cuda.graph`: it empties all caches and collects garbage, which holds up every session.
            # Other threads, which encode prompts or load a model, may use the device meanwhile.
            self._streams["compute"].synchronize()
            graph.capture_begin(pool=self._pool, capture_error_mode="thread_local")
            try:
                output = function(*inputs)
            finally:
                graph.capture_end()
            graph.replay()
        return Recording(graph.replay, output)

    def free_cache(self) -> None:
        torch.cuda.empty_cache()

    def is_alive(self) -> bool:
        try:
            with self.lane("compute"):
                torch.zeros(1, device=self.torch_device).item()
        except RuntimeError:
            return False
        return True


def precision(device: torch.device) -> torch.dtype:
    """Of weights and latents: half on a GPU; on a CPU bfloat16 would be 58 times slower without instructions for it."""
    return torch.float16 if device.type == "cuda" else torch.float32


def raise_if_lost(device: Device, error: Exception) -> None:
    """Raises DeviceLost if `error` came because the device answers nothing any more."""
    if not device.is_alive():
        raise DeviceLost(f"The device {device.name} does not answer any more.") from error


def best_device(graphs: bool | None = None) -> Device:
    """The GPU if torch has one. `graphs`: whether to record (None: on a GPU); on a CPU True rehearses a GPU's way."""
    if torch.cuda.is_available():
        return Cuda(records=graphs is not False)
    return Cpu(rehearses=bool(graphs))
