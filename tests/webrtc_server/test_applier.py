"""Settings put into force: which answer of the worker belongs to which message."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pipeline.settings import Settings
from pipeline.worker.client import WorkerClient
from pipeline.worker.messages import Applied, Rejected
from webrtc_server.protocol.error_codes import ClientError
from webrtc_server.sessions.applier import Applier
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


def applier_of(worker: Worker) -> Applier:
    painters = cast(Painters, SimpleNamespace(available={"identity": "Identity"}))
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
