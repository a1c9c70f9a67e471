"""One client's session: its pictures go to the worker and come back, its state is told.

It waits for nothing on the way of a frame: pictures come by `put`, answers by the callbacks of the worker client.
Settings are `applier.py`'s business, messages `conversation.py`'s. Owned by `manager.py`, which calls `tick` twice
a second and `close` once.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pipeline.frame import Frame
from pipeline.settings import Settings
from pipeline.worker.client import Picture, WorkerClient
from pipeline.worker.memory import fits
from pipeline.worker.messages import Applied, Done, Loading, Rejected
from webrtc_server.limits import NO_INPUT_AFTER, STATUSES_PER_SECOND
from webrtc_server.policy.token_bucket import TokenBucket
from webrtc_server.protocol.error_codes import ClientError, Code, known
from webrtc_server.protocol.messages import (
    ErrorData,
    ProgressData,
    ServerData,
    SettingsAppliedData,
    State,
    StatsData,
    StatusData,
)
from webrtc_server.protocol.session_state import Condition, Facts, derive
from webrtc_server.sessions.applier import Applier
from webrtc_server.sessions.conversation import Conversation
from webrtc_server.sessions.interfaces import Transport
from webrtc_server.sessions.mailbox import Mailbox
from webrtc_server.sessions.painters import Painters
from webrtc_server.sessions.statistics import Statistics
from webrtc_server.sessions.view_id import view_id_for

P = TypeVar("P", bound=Picture)


@dataclass(frozen=True)
class _Told:
    """What of a status makes a new one due when it changes."""

    condition: Condition
    pipeline: str
    device: str
    model: str | None

    @property
    def milestone(self) -> tuple[object, ...]:
        """What is told at once; the rest, how far a load is, may wait for its turn."""
        condition = self.condition
        return condition.state, condition.reason, condition.progress is None, self.pipeline, self.device, self.model


class Session(Generic[P]):
    """`session_id` is a secret that grants control; `view_id` only lets one watch."""

    def __init__(self, painters: Painters, settings: Settings, client_id: str | None = None) -> None:
        self.session_id = secrets.token_urlsafe(16)
        self.view_id = view_id_for(client_id)
        self.client_id = client_id
        self.statistics = Statistics()
        self.closed = False
        self._close_reason: Code | None = None
        self._painters = painters
        self._transport: Transport[P] | None = None
        self._waiting: Mailbox[P] = Mailbox()
        self._in_flight: dict[int, tuple[P, float]] = {}  # sequence -> picture, when it was given to the worker
        self._last_input: float | None = None
        self._told: _Told | None = None  # what the client knows
        self._rebuilding: int | None = None  # the version whose effect is to be seen later
        self._state: State | None = None
        self._since = time.monotonic()
        self._complaints = TokenBucket(1, 1)  # about pictures: one a second
        self._steps = TokenBucket(STATUSES_PER_SECOND, 1)  # of a load
        self._worker = WorkerClient(painters.supervisor, self, settings, 0)
        self._applier = Applier(self._worker, painters, settings)
        self.conversation = Conversation(self, self._send)

    @property
    def settings(self) -> Settings:
        return self._applier.settings

    def attach(self, transport: Transport[P]) -> None:
        """Where pictures and messages go from now on."""
        self._transport = transport

    # The way of a picture

    def put(self, picture: P) -> None:
        """A picture from the client; the newest wins."""
        now = time.monotonic()
        self._last_input = now
        self.statistics.count("received", now)
        if not fits(picture.width, picture.height):
            self.statistics.dropped["too_large"] += 1
            message = f"A {picture.width}x{picture.height} picture was dropped."
            self._complain(ClientError(Code.FRAME_TOO_LARGE, message))
        elif self._worker.is_connected:
            self._waiting.put(picture)
            self._submit_waiting()
        else:
            self._pass_through(picture)

    def painted(self, done: Done, frame: Frame) -> None:
        source, submitted = self._in_flight.pop(done.sequence)
        self.statistics.stages["waited"].add((done.started - submitted) * 1000)
        self.statistics.stages["pipeline"].add((done.finished - done.started) * 1000)
        if done.error is not None:
            self.statistics.dropped["failed"] += 1
            self._complain(ClientError(known(done.code), done.error))
            self._pass_through(source)
        elif self._transport:
            self.statistics.count("painted", time.monotonic())
            self._transport.painted(source, frame, done)
            self._tell_rebuilt(done.version)
        self._submit_waiting()

    def dropped(self, sequence: int) -> None:
        del self._in_flight[sequence]
        self.statistics.dropped["newer_came"] += 1
        self._submit_waiting()

    def _submit_waiting(self) -> None:
        picture = self._waiting.take()
        if picture is None:
            return
        sequence = self._worker.submit(picture)
        if sequence is None:
            self._waiting.put(picture)
        else:
            self._in_flight[sequence] = picture, time.monotonic()

    def _pass_through(self, picture: P) -> None:
        self.statistics.count("passed_through", time.monotonic())
        if self._transport:
            self._transport.unpainted(picture, self.settings, self._applier.version)

    # The worker's comings and goings

    def connected(self) -> None:
        self.refresh()

    def lost(self) -> None:
        lost = [picture for picture, _ in self._in_flight.values()]
        self._in_flight.clear()
        if lost:  # a client that sends its next picture when it has this one back must not wait for ever
            self.statistics.dropped["worker_lost"] += len(lost)
            self._pass_through(lost[-1])
        self._applier.lost()
        self.refresh()

    def applied(self, applied: Applied) -> None:
        before = self._applier.notes
        if self._applier.applied(applied):
            return  # its `settings_applied` tells
        if self._applier.notes != before:
            self._told = None
        self.refresh()

    def rejected(self, rejected: Rejected) -> None:
        if self._applier.rejected(rejected):
            return
        self._complain(ClientError(known(rejected.code), rejected.message, rejected.fix))
        self.refresh()
        if rejected.code == Code.MODEL_LOAD_FAILED and self.settings.pipeline != self._painters.default:
            self.conversation.ask({"pipeline": self._painters.default})

    # Settings and state

    async def apply(self, patch: dict[str, object]) -> SettingsAppliedData:
        """Put a settings message into force, whole or not at all. Raises ClientError."""
        applied = await self._applier.apply(patch, self.refresh)
        if applied.rebuilding:
            self._rebuilding = applied.version
        return applied

    def _tell_rebuilt(self, version: int) -> None:
        """A status follows the first picture since what was being rebuilt, so that the client need not guess."""
        if self._rebuilding is not None and version >= self._rebuilding:
            self._rebuilding = self._told = None
            self.refresh()

    def load_model(self, model: str, failed: Callable[[ClientError], None]) -> None:
        """See `Models.load`."""
        self._painters.models.load(model, failed)

    def greet(self) -> None:
        """The first message on a new connection or channel."""
        self._told = self._known()
        self._state = self._told.condition.state
        self._send(self.status())

    def refresh(self) -> None:
        """Tell the client if its state, its pipeline, the device or the model has changed."""
        now_so, now = self._known(), time.monotonic()
        if now_so == self._told:
            return
        if self._told and now_so.milestone == self._told.milestone and not self._steps.take(now):
            return  # the next tick brings it
        if now_so.condition.state != self._state:
            self._state, self._since = now_so.condition.state, now
        self._told = now_so
        self._send(self.status())

    def _known(self) -> _Told:
        pipeline = self.settings.pipeline
        return _Told(self._derive(), pipeline, self._painters.device(pipeline), self._painters.models.loaded)

    def tick(self) -> None:
        """Twice a second: notice a camera that went silent, send the statistics that are due."""
        self.refresh()
        self.conversation.tick(time.monotonic())

    def status(self) -> StatusData:
        condition = self._derive()
        models = self._painters.models
        notice = [models.notice] if models.notice and self.settings.pipeline == models.pipeline else []
        return StatusData(
            session_id=self.session_id,
            view_id=self.view_id,
            state=condition.state,
            reason=condition.reason,
            message=condition.message or self._painters.why(self.settings.pipeline),
            since=self._since,
            retry_in_s=condition.retry_in,
            progress=_progress(condition.progress),
            pipeline=self.settings.pipeline,
            pipelines=list(self._painters.available),
            device=self._painters.device(self.settings.pipeline),
            model=models.loaded,
            models=list(models.choices()),
            settings=self.settings.model_dump(mode="json"),
            settings_version=self._applier.version,
            notes=self._applier.notes + notice,
        )

    def stats(self, now: float) -> StatsData:
        statistics = self.statistics
        return StatsData(
            frames=dict(statistics.frames),
            dropped=dict(statistics.dropped) | {"newer_waited": self._waiting.dropped},
            stages_ms=statistics.percentiles(),
            queues={"waiting": len(self._waiting), "in_flight": len(self._in_flight)},
            fps_in=statistics.fps("received", now),
            fps_out=statistics.fps("sent", now),
            worker_restarts=self._painters.supervisor.restarts,
            transport=self._transport.figures() if self._transport else {},
        )

    def _derive(self) -> Condition:
        worker = self._painters.supervisor.state
        models = self._painters.models
        refusal = self._applier.refusal
        now = time.monotonic()
        return derive(
            Facts(
                worker_connected=self._worker.is_connected,
                worker_failed=self._painters.failure,
                worker_ever_ready=self._painters.ever_ready,
                progress=worker.progress,
                has_input=self._last_input is not None and now - self._last_input <= NO_INPUT_AFTER,
                ever_had_input=self._last_input is not None,
                closed=self.closed,
                close_reason=self._close_reason,
                retry_in=worker.retry_in,
                switching=models.switching.title if models.switching else None,
                switching_mine=self.settings.pipeline == models.pipeline,
                painted=self._applier.painted,
                refusal=refusal.message if refusal else None,
                load_failure=models.failure(now),
            )
        )

    def _complain(self, error: ClientError) -> None:
        if self._complaints.take(time.monotonic()):
            self._send(ErrorData.of(error))

    def _send(self, data: ServerData, reply_to: str | None = None) -> None:
        if self._transport:
            self._transport.send(data, reply_to)

    async def close(self, reason: Code | None) -> None:
        """Say goodbye, end the connection, free the worker's part. Bounded by the transport's own limit."""
        if self.closed:
            return
        self.closed, self._close_reason = True, reason
        self.refresh()
        await self.conversation.close()
        if self._transport:
            await self._transport.close()
        await self._worker.close()


def _progress(loading: Loading | None) -> ProgressData | None:
    if loading is None:
        return None
    return ProgressData(
        stage=loading.stage, done=loading.done, total=loading.total, unit=loading.unit, eta_s=loading.eta
    )
