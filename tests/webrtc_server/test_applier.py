"""Settings put into force: which answer of the worker belongs to which message."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pipeline.policy.blame import PROVEN_AFTER
from pipeline.settings import Settings
from pipeline.worker.client import WorkerClient
from pipeline.worker.messages import Applied, Rejected
from pipeline.worker.supervisor import WorkerState
from webrtc_server.protocol.error_codes import ClientError, Code
from webrtc_server.sessions.applier import LATER, Applier
from webrtc_server.sessions.painters import Painters


class Worker:
    """Says nothing by itself. `told` are the versions it was asked for, or told to keep."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []

    def apply(self, version: int, settings: Settings) -> bool:
        self.told.append(("apply", version))
        return True

    def keep(self, version: int, settings: Settings) -> None:
        self.told.append(("keep", version))


def applier_of(worker: Worker, loads: bool = False) -> Applier:
    supervisor = SimpleNamespace(state=WorkerState("ready", loads=loads))
    painters = cast(Painters, SimpleNamespace(available={"identity": "Identity"}, supervisor=supervisor))
    return Applier(cast(WorkerClient, worker), painters, Settings())


async def asked(applier: Applier, **patch: Any) -> asyncio.Task[Any]:  # noqa: ANN401  as `apply` takes it
    task = asyncio.create_task(applier.apply(patch, lambda: None))
    await asyncio.sleep(0)
    return task


async def test_answer_to_the_first_settings_is_none_to_a_later_message() -> None:
    worker = Worker()
    applier = applier_of(worker)
    task = await asked(applier, seed=9)
    applier.applied(Applied(0, ["of the connection"]))
    await asyncio.sleep(0)
    assert not task.done()
    assert applier.rejected(Rejected(1, "apply_failed", "no", "try"))
    with pytest.raises(ClientError):
        await task
    assert (applier.version, applier.settings.seed) == (0, Settings().seed)
    assert worker.told == [("apply", 1), ("keep", 0)]


async def test_worker_that_does_not_answer_is_asked_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webrtc_server.sessions.applier.APPLY_TIMEOUT", 0.01)
    worker = Worker()
    with pytest.raises(ClientError, match="in time"):
        await applier_of(worker).apply({"seed": 9}, lambda: None)
    assert worker.told == [("apply", 1), ("apply", 0)]


async def test_while_something_is_loaded_it_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webrtc_server.sessions.applier.APPLY_TIMEOUT", 0.01)
    applier = applier_of(Worker(), loads=True)
    task = await asked(applier, seed=9)
    await asyncio.sleep(0.05)
    applier.applied(Applied(1, []))
    assert (await task).version == 1


def working(applier: Applier) -> None:
    """The settings in force are proven."""
    for _ in range(PROVEN_AFTER):
        applier.painted_with(applier.version)


async def changed(applier: Applier, **patch: Any) -> None:  # noqa: ANN401  as `apply` takes it
    task = await asked(applier, **patch)
    applier.applied(Applied(applier.version + 1, []))
    await task


async def test_settings_that_do_not_work_give_way_to_the_last_that_did() -> None:
    worker = Worker()
    applier = applier_of(worker)
    assert not applier.roll_back(0)  # nothing has worked yet
    working(applier)
    assert not applier.roll_back(0)  # these are they
    await changed(applier, seed=9)
    for _ in range(PROVEN_AFTER - 1):
        applier.painted_with(1)
    applier.painted_with(0)  # a late one
    assert not applier.roll_back(0)
    assert applier.roll_back(1)
    assert (applier.version, applier.settings.seed) == (2, Settings().seed)
    assert worker.told == [("apply", 1), ("apply", 2)]


async def test_a_roll_back_does_not_get_in_the_way_of_a_newer_message() -> None:
    applier = applier_of(Worker())
    working(applier)
    await changed(applier, seed=9)
    task = await asked(applier, seed=10)
    assert not applier.roll_back(1)
    applier.applied(Applied(2, []))
    assert (await task).version == 2


async def test_what_was_asked_for_as_the_worker_ended_of_it_again_is_rejected() -> None:
    worker = Worker()
    applier = applier_of(worker)
    working(applier)
    task = await asked(applier, seed=9)
    assert applier.lost(guilty=True) is None  # the message's own answer says it
    with pytest.raises(ClientError) as refused:
        await task
    assert refused.value.code == Code.APPLY_FAILED
    assert (applier.version, applier.settings.seed) == (0, Settings().seed)
    assert worker.told == [("apply", 1), ("keep", 0)]


async def test_what_was_asked_for_in_the_place_of_what_the_worker_ended_of_is_the_cure() -> None:
    worker = Worker()
    applier = applier_of(worker)
    task = await asked(applier, seed=9)  # while the settings in force, which have never worked, hang
    assert applier.is_under_way
    assert applier.lost(guilty=True) is None
    assert LATER in (await task).notes
    assert (applier.version, applier.settings.seed, applier.refusal) == (1, 9, None)
    assert worker.told == [("apply", 1), ("keep", 1)]  # kept away no longer
    assert not applier.is_under_way


async def test_who_ends_the_worker_right_after_its_answer_has_not_been_applied() -> None:
    worker = Worker()
    applier = applier_of(worker)
    working(applier)
    task = await asked(applier, seed=9)
    applier.applied(Applied(1, []))
    assert applier.lost(guilty=True)  # before the message's own coroutine has gone on
    with pytest.raises(ClientError) as refused:
        await task
    assert refused.value.code == Code.APPLY_FAILED
    assert (applier.version, applier.settings.seed, applier.refusal) == (0, Settings().seed, None)
    assert worker.told[:2] == [("apply", 1), ("apply", 0)]


async def test_a_worker_that_ends_counts_what_was_asked_for_as_in_force() -> None:
    applier = applier_of(Worker())
    task = await asked(applier, seed=9)
    assert applier.lost(guilty=False) is None
    assert (await task).notes
    assert applier.version == 1


async def test_the_guilty_get_their_last_working_settings_or_wait_for_others() -> None:
    applier = applier_of(Worker())
    error = applier.lost(guilty=True)
    assert error
    assert error.code == Code.APPLY_FAILED
    assert applier.refusal
    await changed(applier, seed=9)
    assert applier.refusal is None
    working(applier)
    await changed(applier, seed=10)
    error = applier.lost(guilty=True)
    assert error
    assert "in force again" in error.message
    assert (applier.version, applier.settings.seed, applier.refusal) == (3, 9, None)


async def test_one_message_at_a_time() -> None:
    worker = Worker()
    applier = applier_of(worker)
    first, second = await asked(applier, seed=9), await asked(applier, seed=10)
    assert worker.told == [("apply", 1)]
    applier.applied(Applied(1, []))
    assert (await first).version == 1
    await asyncio.sleep(0)
    applier.applied(Applied(2, []))
    assert (await second).version == 2
