"""Every metric of `/metrics`, in one list, in Prometheus' base units. Plain: it is given the facts, it asks nobody.

No label tells who somebody is, and none has a value that a client chose: each comes out of a list of our own, so the
number of series is bounded. What may be counted stands there with 0 before it happens, or `rate` would miss the first.
Called by `web/metrics_api.py`; `docs/reference/metrics.md` is generated from it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Literal, get_args

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.utils import floatToGoString

from pipeline.worker.supervisor import Phase
from webrtc_server.observe.counted import Counted
from webrtc_server.observe.histogram import BUCKETS, Histogram
from webrtc_server.protocol.error_codes import Code

PREFIX = "live_diffusion_"
TRANSPORTS = ("webrtc", "ws")
FRAMES = ("received", "painted", "passed_through", "sent")
NEWER = ("newer_undecoded", "newer_waited", "newer_came", "late")  # because a newer one came, in the order of the way
DROPPED = (*NEWER, "too_large", "too_late", "failed", "worker_lost")
STANDING = ("painted", "queued", "connecting")
STAGES = ("waited", "pipeline", "server", "encode")
QUEUES = ("waiting", "in_flight")
SETTINGS = ("applied", "unchanged", "refused")
LEFT, UNCONNECTED = "left", "unconnected"  # how a session ended that was given no reason; else it is a code
Kind = Literal["counter", "gauge", "histogram"]
Value = float | Histogram
Samples = dict[tuple[str, ...], Value]
BOUNDS = (*map(floatToGoString, BUCKETS), "+Inf")  # as Prometheus writes them


@dataclass(frozen=True)
class Facts:
    """What the server is at now, and what it has counted since its start."""

    version: str = ""
    counted: Mapping[str, Counted] = field(default_factory=dict)  # by transport
    viewed: Counted = field(default_factory=Counted)  # by viewers
    ended: Mapping[tuple[str, ...], int] = field(default_factory=dict)  # sessions, by transport and reason
    http_errors: Mapping[str, int] = field(default_factory=dict)  # by code
    sessions: Mapping[str, int] = field(default_factory=dict)  # by where they stand
    places: int = 0
    line_places: int = 0
    viewers: int = 0
    queues: Mapping[str, int] = field(default_factory=dict)
    phase: Phase = "loading"
    pipeline: str | None = None
    model: str | None = None
    device: str = ""
    load_seconds: float | None = None
    restarts: int = 0
    lags: Histogram = field(default_factory=Histogram)


@dataclass(frozen=True)
class Family:
    """One metric. `samples`: its values by those of `labels`. Counters have `_total` behind their name."""

    kind: Kind
    name: str
    text: str
    labels: tuple[str, ...]
    samples: Samples

    @property
    def full_name(self) -> str:
        return f"{PREFIX}{self.name}{'_total' if self.kind == 'counter' else ''}"

    def metric(self) -> Metric:
        name = PREFIX + self.name
        family: CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
        if self.kind == "histogram":
            family = HistogramMetricFamily(name, self.text, labels=self.labels)
            for labels, value in self.samples.items():
                assert isinstance(value, Histogram)
                family.add_metric(labels, list(zip(BOUNDS, accumulate(value.counts), strict=True)), value.sum)
            return family
        kind = CounterMetricFamily if self.kind == "counter" else GaugeMetricFamily
        family = kind(name, self.text, labels=self.labels)
        for labels, value in self.samples.items():
            assert not isinstance(value, Histogram)
            family.add_metric(labels, value)
        return family


def families(facts: Facts) -> Iterator[Family]:
    """All of them."""
    everybody = Counted()
    for counted in (*facts.counted.values(), facts.viewed):
        everybody.merge(counted)
    frames: Samples = {
        (stage, transport): facts.counted[transport].frames[stage] if transport in facts.counted else 0
        for transport in TRANSPORTS
        for stage in FRAMES
    }
    ended: Samples = {(transport, end): 0 for transport in TRANSPORTS for end in (LEFT, UNCONNECTED)}
    ended |= facts.ended
    errors = everybody.errors + Counter(facts.http_errors)
    lag = "By how much a tick of the event loop, ten a second, was late."

    yield _by("gauge", "build_info", "The version that runs.", "version", {facts.version: 1})
    yield _by("gauge", "sessions", "Sessions that are here, by where they stand.", "state", facts.sessions, STANDING)
    yield _one("gauge", "places", "Sessions that are painted at a time, at most.", facts.places)
    yield _one("gauge", "line_places", "Sessions that may wait in line.", facts.line_places)
    yield _one("gauge", "viewers", "Connections that watch a session.", facts.viewers)
    yield Family("counter", "sessions", "Sessions that ended.", ("transport", "result"), ended)
    yield Family("counter", "frames", "Frames, by how far they came.", ("stage", "transport"), frames)
    yield _by("counter", "frames_dropped", "Frames that came no further.", "reason", everybody.dropped, DROPPED)
    yield _by("histogram", "frame_stage_seconds", "What a frame's time went to.", "stage", everybody.stages, STAGES)
    yield _by("gauge", "queue_depth", "Frames before the worker, and in it.", "queue", facts.queues, QUEUES)
    yield _by("counter", "rtp_bytes", "Bytes of WebRTC, viewers' too.", "direction", everybody.bytes, ("in", "out"))
    yield _one("counter", "ice_failures", "WebRTC links that never stood, or broke.", everybody.ice_failures)
    yield _by("counter", "settings_updates", "Settings messages.", "result", everybody.settings, SETTINGS)
    yield _by("counter", "errors", "Errors that came up for clients.", "code", errors, tuple(Code))
    yield _by("gauge", "worker_phase", "1 for how the picture process is.", "phase", {facts.phase: 1}, get_args(Phase))
    yield _one("counter", "worker_restarts", "Picture processes that ended by themselves.", facts.restarts)
    yield _one("gauge", "model_ready", "1 while frames can be painted.", float(facts.phase == "ready"))
    info: Samples = {(facts.pipeline, facts.model or "", facts.device): 1} if facts.pipeline else {}
    yield Family("gauge", "model_info", "What paints, and on what.", ("pipeline", "model", "device"), info)
    yield _one("gauge", "model_load_seconds", "How long the last load took, its proof included.", facts.load_seconds)
    yield _one("histogram", "event_loop_lag_seconds", lag, facts.lags)


def _by(
    kind: Kind, name: str, text: str, label: str, values: Mapping[str, Value], known: tuple[str, ...] = ()
) -> Family:
    """A metric with one label; the values of it that are `known` are always there."""
    nothing = Histogram() if kind == "histogram" else 0
    return Family(kind, name, text, (label,), {(key,): values.get(key, nothing) for key in (*known, *values)})


def _one(kind: Kind, name: str, text: str, value: Value | None) -> Family:
    return Family(kind, name, text, (), {} if value is None else {(): value})
