"""What the server and the worker say to each other: one JSON object a line over a local socket.

A session is one connection: it begins with `Open` (the session's shared memory comes with its first byte), and its
end is the end of the session. A connection that begins with `Watch` is told how the worker is doing, and may ask for
that (`Ping`), or for another model. A frame slot belongs to whoever was last sent it: `Submit` gives it to the worker,
`Done` or `Dropped` gives it back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from pipeline.frame import PixelFormat
from pipeline.policy.supervision import Pulse
from pipeline.settings import Settings

MAX_LINE = 1 << 20  # bytes; four prompts of 1000 characters, each written as an escape, need 50 kB
EXIT_DEVICE_LOST = 76  # exit code of a worker that has lost its device, or that paints nothing any more


@dataclass(frozen=True, slots=True)
class Watch:
    """First message of a connection that wants `Loading`, `Ready`, `Loaded`, `Failed`, `LoadFailed` and `Pong`."""

    type: Literal["watch"] = "watch"


@dataclass(frozen=True, slots=True)
class Ping:
    """On a watching connection. Answered by `Pong`."""

    type: Literal["ping"] = "ping"


@dataclass(frozen=True, slots=True)
class LoadModel:
    """On a watching connection, after `Ready`: load `model` into `pipeline` beside what paints, to take its place.

    Answered by some `Loading`, then by `Ready` or `LoadFailed`. One at a time.
    """

    pipeline: str
    model: str
    type: Literal["load_model"] = "load_model"


@dataclass(frozen=True, slots=True)
class Open:
    """First message of a session. Answered by `Applied` or `Rejected`, like every `Apply` after it.

    `suspect`: a worker has ended while it worked for this session, so its pictures are painted alone at first.
    """

    version: int
    settings: Settings
    suspect: bool = False
    type: Literal["open"] = "open"


@dataclass(frozen=True, slots=True)
class Apply:
    """Put these settings into force before the next frame. Answered by `Applied` or `Rejected`."""

    version: int
    settings: Settings
    type: Literal["apply"] = "apply"


@dataclass(frozen=True, slots=True)
class Submit:
    """A picture lies in `slot`. A newer one takes the place of one that still waits."""

    sequence: int
    slot: int
    width: int
    height: int
    format: PixelFormat
    type: Literal["submit"] = "submit"


@dataclass(frozen=True, slots=True)
class Pong:
    """Says the I/O loop, so it lives; `pulse` says how the painting thread does. Unasked, just before a load begins."""

    pulse: Pulse
    type: Literal["pong"] = "pong"


@dataclass(frozen=True, slots=True)
class Loading:
    """`total` 0: not known. `eta`: the seconds that this stage will still take, if they can be told."""

    stage: str
    done: int
    total: int
    unit: str
    eta: float | None = None
    type: Literal["loading"] = "loading"


@dataclass(frozen=True, slots=True)
class Ready:
    """A real frame went through `pipeline`, with the model that was asked for, if one was.

    `failures` are the pipelines that could not be loaded, with the reason.
    """

    pipeline: str
    failures: dict[str, str]
    device: str
    model: str | None
    type: Literal["ready"] = "ready"


@dataclass(frozen=True, slots=True)
class Loaded:
    """`pipeline` was loaded too, for a session that chose it."""

    pipeline: str
    device: str
    model: str | None
    type: Literal["loaded"] = "loaded"


@dataclass(frozen=True, slots=True)
class LoadFailed:
    """`LoadModel` came to nothing; what painted goes on."""

    model: str
    code: str
    message: str
    fix: str
    type: Literal["load_failed"] = "load_failed"


@dataclass(frozen=True, slots=True)
class Failed:
    """No pipeline could be loaded; the worker ends after this."""

    code: str
    message: str
    fix: str
    type: Literal["failed"] = "failed"


@dataclass(frozen=True, slots=True)
class Applied:
    """The settings of `version` are in force; `notes` say how they were understood.

    `rebuilding` names those that show only after the pipeline has made itself ready anew. Unasked for, with the version
    in force: another model has taken over.
    """

    version: int
    notes: list[str]
    rebuilding: list[str] = field(default_factory=list)
    type: Literal["applied"] = "applied"


@dataclass(frozen=True, slots=True)
class Rejected:
    """The settings of `version` could not be put into force; those before them stay.

    If there are none, or these are they and another model took over, frames pass unpainted until there are others.
    """

    version: int
    code: str
    message: str
    fix: str
    type: Literal["rejected"] = "rejected"


@dataclass(frozen=True, slots=True)
class Done:
    """The answer to `sequence` lies in `slot`, in the pixel format of the question.

    `error` set: the picture is the unchanged input; `code` is that error's.
    `started` and `finished` are seconds of the monotonic clock.
    """

    sequence: int
    slot: int
    width: int
    height: int
    version: int
    started: float
    finished: float
    pipeline: str
    error: str | None = None
    code: str = "internal"
    type: Literal["done"] = "done"


@dataclass(frozen=True, slots=True)
class Dropped:
    """A newer picture came before `sequence` was begun; `slot` is free again."""

    sequence: int
    slot: int
    type: Literal["dropped"] = "dropped"


ToWorker = Watch | Ping | LoadModel | Open | Apply | Submit
FromWorker = Pong | Loading | Ready | Loaded | LoadFailed | Failed | Applied | Rejected | Done | Dropped

_to_worker: TypeAdapter[ToWorker] = TypeAdapter(Annotated[ToWorker, Field(discriminator="type")])
_from_worker: TypeAdapter[FromWorker] = TypeAdapter(Annotated[FromWorker, Field(discriminator="type")])


def encode(message: ToWorker | FromWorker) -> bytes:
    """One line, its newline included."""
    adapter: TypeAdapter[ToWorker] | TypeAdapter[FromWorker]
    adapter = _to_worker if isinstance(message, ToWorker) else _from_worker
    return adapter.dump_json(message) + b"\n"  # type: ignore[arg-type]  # the adapter fits, mypy cannot pair them


def decode_to_worker(line: bytes) -> ToWorker:
    """Raises ValueError on anything but a whole, known message."""
    return _to_worker.validate_json(line)


def decode_from_worker(line: bytes) -> FromWorker:
    """Raises ValueError on anything but a whole, known message."""
    return _from_worker.validate_json(line)
