"""One client's session: its pictures go to the worker and come back, its state is told.

It waits for nothing on the way of a frame: pictures come by `put`, answers by the callbacks of the worker client.
Settings are `applier.py`'s business, messages `conversation.py`'s. Owned by `manager.py`, which says where it stands
(`stand` in line, `seat` on a place, `rest`), calls `tick` twice a second and `close` once.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pipeline.frame import Frame
from pipeline.settings import Settings
from pipeline.worker.client import Picture, WorkerClient
from pipeline.worker.memory import fits
from pipeline.worker.messages import Applied, Done, Loading, Rejected
from webrtc_server.limits import JOIN_TIMEOUT, NO_INPUT_AFTER, QUEUED_FPS, SMALLEST_SIDE, STATUSES_PER_SECOND
from webrtc_server.observe.counted import Counted
from webrtc_server.policy.admission import Place
from webrtc_server.policy.deadlines import Signs
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
from webrtc_server.protocol.readiness import Flow
from webrtc_server.protocol.session_state import Condition, Facts, derive
from webrtc_server.sessions.applier import ROLLED_BACK, Applier
from webrtc_server.sessions.conversation import Conversation
from webrtc_server.sessions.interfaces import Transport
from webrtc_server.sessions.mailbox import Mailbox
from webrtc_server.sessions.painters import Painters
from webrtc_server.sessions.statistics import Statistics

P = TypeVar("P", bound=Picture)


@dataclass(frozen=True)
class _Told:
    """What of a status makes a new one due when it changes."""

    condition: Condition
    pipeline: str
    device: str
    model: str | None
    place: int | None

    @property
    def milestone(self) -> tuple[object, ...]:
        """What is told at once; the rest, how far a load is, may wait for its turn."""
        condition = self.condition
        loads = condition.progress is not None
        return condition.state, condition.reason, self.place, loads, self.pipeline, self.device, self.model


class Session(Generic[P]):
    """`session_id` is a secret that grants control; `view_id` only lets one watch.

    `signs` of life are there from when the client is connected; pictures are painted from `seat` on.
    """

    def __init__(
        self,
        painters: Painters,
        settings: Settings,
        hang_up: Callable[[Code], None],
        view_id: str,
        client_id: str | None = None,
    ) -> None:
        """`hang_up` ends the session, soon."""
        self.session_id = secrets.token_urlsafe(16)
        self.view_id = view_id
        self.client_id = client_id
        self.statistics = Statistics()
        self.signs: Signs | None = None
        self.hang_up = hang_up
        self.closed = False
        self._close_reason: Code | None = None
        self._painters = painters
        self._transport: Transport[P] | None = None
        self._waiting: Mailbox[P] = Mailbox()
        self._in_flight: dict[int, tuple[P, float]] = {}  # sequence -> picture, when it was given to the worker
        self._place: Place | None = None  # in line
        self._seated = False
        self._join_until = float("-inf")  # until when pictures wait for the worker to take this session
        self._show_timer: asyncio.TimerHandle | None = None  # of a session in line
        self._shown_at = float("-inf")
        self._flowing_since: float | None = None  # pictures have come without a gap, to one and the same worker
        self._last_answer: float | None = None  # of the worker, to a picture
        self._ends_at: float | None = None  # when the server, which is about to stop, ends it
        self._told: _Told | None = None  # what the client knows
        self._rebuilding: int | None = None  # the version whose effect is to be seen later
        self._state: State | None = None
        self._since = time.monotonic()
        self._complaints = TokenBucket(1, 1)  # about pictures: one a second
        self._steps = TokenBucket(STATUSES_PER_SECOND, 1)  # of a load
        self._worker = WorkerClient(painters.supervisor, self, settings, 0, resting=True)
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
        small, large = min(picture.width, picture.height) < SMALLEST_SIDE, not fits(picture.width, picture.height)
        if large:
            self.refuse(picture.width, picture.height)
            return
        self._count_input(not small, now)
        if small:
            message = f"A picture of {picture.width}x{picture.height} is too small to be painted."
            fix = f"Send sides of at least {SMALLEST_SIDE} pixels."
            self._complain(ClientError(Code.FRAME_TOO_LARGE, message, fix))
            self._pass_through(picture)
            return
        if self._place is not None:
            self._waiting.put(picture)
            self._show_waiting_when_due(now)
            return
        if self._seated and self._worker.is_resting:
            self._wake(now)
        if self._worker.takes_pictures or self._is_joining(now):
            self._waiting.put(picture)
            self._submit_waiting()
        else:
            self._pass_through(picture)

    def refuse(self, width: int, height: int) -> None:
        """A picture from the client that is too large, or does not tell its size (0 and 0); it was not decoded."""
        self._count_input(False, time.monotonic())
        self.statistics.dropped["too_large"] += 1
        size = f"{width}x{height} picture" if width else "picture that does not tell its size"
        self._complain(ClientError(Code.FRAME_TOO_LARGE, f"A {size} was dropped."))

    def _count_input(self, usable: bool, now: float) -> None:
        self.statistics.count("received", now)
        if self.signs is None:
            return
        if self._flowing_since is None or not self._has_input(now):
            self._flowing_since = now
        self.signs.picture = now
        if usable:
            self.signs.unusable_since = None
        elif self.signs.unusable_since is None:
            self.signs.unusable_since = now

    def painted(self, done: Done, frame: Frame) -> None:
        if done.error is None:
            self._applier.painted_with(done.version)
        if done.sequence not in self._in_flight:  # it was passed through while the worker was stalled
            self.statistics.dropped["too_late"] += 1
            self._submit_waiting()
            return
        source, submitted = self._in_flight.pop(done.sequence)
        self._last_answer = time.monotonic()
        self.statistics.stages["waited"].add((done.started - submitted) * 1000)
        self.statistics.stages["pipeline"].add((done.finished - done.started) * 1000)
        if done.error is not None:
            self.statistics.dropped["failed"] += 1
            self._pass_through(source)
            if done.code == Code.GPU_OOM and self._applier.roll_back(done.version):
                self._send(ErrorData.of(ClientError(Code.GPU_OOM, f"{done.error} {ROLLED_BACK}")))
                self._told = None
                self.refresh()
            else:
                self._complain(ClientError(known(done.code), done.error))
        elif self._transport:
            self.statistics.count("painted", time.monotonic())
            self._painters.cost.add(done.started, done.finished)
            self._transport.painted(source, frame, done)
            self._tell_rebuilt(done.version)
        self._submit_waiting()

    def dropped(self, sequence: int) -> None:
        self._in_flight.pop(sequence, None)
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

    def _show_waiting_when_due(self, now: float) -> None:
        """In line: the camera as it is, at QUEUED_FPS. The newest waits, so whoever waits for an answer has one."""
        if self._show_timer is None:
            delay = max(0.0, self._shown_at + 1 / QUEUED_FPS - now)
            self._show_timer = asyncio.get_running_loop().call_later(delay, self._show_waiting)

    def _show_waiting(self) -> None:
        self._show_timer = None
        if (picture := self._waiting.take()) is not None:
            self._shown_at = time.monotonic()
            self._pass_through(picture)

    # Where it stands

    def arrive(self, watched: bool) -> None:
        """The client is connected, repeatable; `watched`: the connection itself notices that a client is gone."""
        self.signs = self.signs or Signs(time.monotonic(), watched=watched)

    def heard(self) -> None:
        """A message came."""
        if self.signs is not None:
            self.signs.word = time.monotonic()

    def camera_ended(self) -> None:
        """No more pictures will come."""
        if self.signs is not None:
            self.signs.camera_ended = True

    def stand(self, place: Place) -> None:
        """In line."""
        self._place = place
        self.refresh()

    def seat(self) -> None:
        """On a place: it is painted from now on."""
        now = time.monotonic()
        self._place, self._seated = None, True
        if self.signs is not None:
            self.signs.since = now
        self._wake(now)
        self.refresh()

    def follow(self, older: Session[Any]) -> None:
        """It takes the place of `older`, and what that one's settings have done to the worker is not forgotten."""
        self._worker.follow(older._worker)
        self._applier.follow(older._applier)

    def rest(self) -> None:
        """It is silent: free what the worker holds for it, until the next picture. Repeatable, and to be repeated.

        Nothing happens while the worker owes an answer to a settings message, nor while it stands still, is being
        started or loads something: that may be because of this session, which then is not to get away.
        """
        worker = self._painters.supervisor.state
        is_idle = worker.phase == "ready" and not worker.loads and not self._applier.is_under_way
        if self._seated and not self._worker.is_resting and is_idle:
            self._worker.rest()
            self.refresh()

    def _wake(self, now: float) -> None:
        self._join_until = now + JOIN_TIMEOUT
        self._worker.wake()

    def _is_joining(self, now: float) -> bool:
        """Whether a worker that is ready is about to take this session."""
        return now < self._join_until and self._is_welcome()

    def _is_welcome(self) -> bool:
        return self._painters.supervisor.state.phase == "ready" and not self._worker.is_kept_away

    def flow(self, now: float) -> Flow | None:
        """What `readyz` goes by; None unless pictures come that the worker is to paint."""
        if self._flowing_since is None or not (self._seated and self._has_input(now) and self._applier.painted):
            return None
        return Flow(self._flowing_since, self._last_answer)

    def _has_input(self, now: float) -> bool:
        return self.signs is not None and self.signs.picture is not None and now - self.signs.picture <= NO_INPUT_AFTER

    # The worker's comings and goings

    def connected(self) -> None:
        self._join_until = float("-inf")
        self._flowing_since = None
        self.refresh()
        self._submit_waiting()

    def stalled(self) -> None:
        self._give_up_waiting()
        self.refresh()

    def lost(self, guilty: bool) -> None:
        self._give_up_waiting()
        if error := self._applier.lost(guilty):
            self._send(ErrorData.of(error))
            self._told = None
        self.refresh()

    def _give_up_waiting(self) -> None:
        """A client that sends its next picture when it has this one back must not wait for ever."""
        lost = [picture for picture, _ in self._in_flight.values()]
        self._in_flight.clear()
        if waiting := self._waiting.take():
            lost.append(waiting)
        if lost:
            self.statistics.dropped["worker_lost"] += len(lost)
            self._pass_through(lost[-1])

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

    async def apply(self, patch: dict[str, object], versions: Collection[str] | None = None) -> SettingsAppliedData:
        """Put a settings message into force, whole or not at all. Raises ClientError; `precondition_failed` if the
        settings are in none of `versions`, where some are given."""
        try:
            applied = await self._applier.apply(patch, self.refresh, versions)
        except ClientError:
            self.statistics.settings["refused"] += 1
            raise
        self.statistics.settings["applied" if applied.changed else "unchanged"] += 1
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
        place = self._place.number if self._place else None
        return _Told(self._derive(), pipeline, self._painters.device(pipeline), self._painters.models.loaded, place)

    def ends_at(self, when: float) -> None:
        """Tell the client that the server will end it at `when`, of the monotonic clock."""
        self._ends_at = when
        self.refresh()

    def _remaining(self) -> float | None:
        return None if self._ends_at is None else max(0.0, self._ends_at - time.monotonic())

    def tick(self) -> None:
        """Twice a second: notice a camera that went silent, send the statistics that are due."""
        now = time.monotonic()
        self.refresh()
        self.conversation.tick(now)
        if self._seated and not self._worker.is_connected and not self._is_joining(now):
            self._show_waiting()  # it waited for a worker that did not come

    def status(self) -> StatusData:
        condition = self._derive()
        models = self._painters.models
        notice = [models.notice] if models.notice and self.settings.pipeline == models.pipeline else []
        return StatusData(
            session_id=self.session_id,
            view_id=self.view_id,
            state=condition.state,
            place=self._place.number if self._place else None,
            wait_s=round(self._place.wait) if self._place and self._place.wait is not None else None,
            reason=condition.reason,
            message=condition.message or self._painters.why(self.settings.pipeline),
            since=self._since,
            retry_in_s=self._remaining() if condition.state == "draining" else condition.retry_in,
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
            queues=self.queues(),
            fps_in=statistics.fps("received", now),
            fps_out=statistics.fps("sent", now),
            worker_restarts=self._painters.supervisor.restarts,
            transport=self._transport.figures() if self._transport else {},
        )

    def queues(self) -> dict[str, int]:
        """Pictures on their way, by where they are."""
        return {"waiting": len(self._waiting), "in_flight": len(self._in_flight)}

    @property
    def transport(self) -> str:
        """What carries it, by name."""
        return self._transport.name if self._transport else "none"

    def counted(self) -> Counted:
        """All that it and its transport have counted so far; also after its end."""
        counted = self.statistics.counted()
        counted.dropped["newer_waited"] = self._waiting.dropped
        if self._transport:
            counted.merge(self._transport.counted())
        return counted

    def _derive(self) -> Condition:
        worker = self._painters.supervisor.state
        models = self._painters.models
        refusal = self._applier.refusal
        now = time.monotonic()
        would_join = self._is_joining(now) or (self._seated and self._worker.is_resting and self._is_welcome())
        return derive(
            Facts(
                worker_connected=self._worker.is_connected or would_join,
                worker_failed=self._painters.failure,
                worker_failure_code=self._painters.failure_code,
                worker_stalled=worker.phase == "stalled",
                worker_ever_ready=self._painters.ever_ready,
                progress=worker.progress,
                has_input=self._has_input(now),
                ever_had_input=self.signs is not None and self.signs.picture is not None,
                closed=self.closed,
                close_reason=self._close_reason,
                draining=self._ends_at is not None,
                retry_in=worker.retry_in,
                switching=models.switching.title if models.switching else None,
                switching_mine=self.settings.pipeline == models.pipeline,
                painted=self._applier.painted or would_join,
                refusal=refusal.message if refusal else None,
                load_failure=models.failure(now),
                place=self._place.number if self._place else None,
            )
        )

    def _complain(self, error: ClientError) -> None:
        if self._complaints.take(time.monotonic()):
            self._send(ErrorData.of(error))

    def tell(self, error: ClientError) -> None:
        """An error that its transport has found."""
        self._send(ErrorData.of(error))

    def _send(self, data: ServerData, reply_to: str | None = None) -> None:
        if isinstance(data, ErrorData):
            self.statistics.errors[data.code] += 1
        if self._transport:
            self._transport.send(data, reply_to)

    async def close(self, reason: Code | None) -> None:
        """Say goodbye, free the worker's part, end the connection. Bounded by the transport's own limit."""
        if self.closed:
            return
        self.closed, self._close_reason = True, reason
        self.refresh()
        if self._show_timer:
            self._show_timer.cancel()
        await self.conversation.close()
        try:
            await self._worker.close()
        finally:
            if self._transport:
                await self._transport.close(reason)


def _progress(loading: Loading | None) -> ProgressData | None:
    if loading is None:
        return None
    return ProgressData(
        stage=loading.stage, done=loading.done, total=loading.total, unit=loading.unit, eta_s=loading.eta
    )
