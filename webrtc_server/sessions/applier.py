"""Puts the settings messages of one session into force, one after the other, each whole or not at all.

A message is in force when the worker says so; a message that the worker rejects leaves settings and version as they
were. While the worker is away, or knows nothing of the session, settings are taken as they are, and it starts with
them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pipeline.settings import Change, InvalidSettings, Settings, merge
from pipeline.worker.client import WorkerClient
from pipeline.worker.messages import Applied, Rejected
from webrtc_server.limits import APPLY_TIMEOUT
from webrtc_server.protocol.error_codes import ClientError, Code, known
from webrtc_server.protocol.messages import SettingsAppliedData
from webrtc_server.sessions.painters import Painters

FIELDS_NAMED = 30  # bad fields in one error, which is to stay under 16 KiB
LATER = "takes effect when painting begins or goes on"


def checked(current: Settings, patch: dict[str, object], painters: Painters) -> Change:
    """A client's settings over `current`. Raises ClientError `invalid_settings` with the bad fields."""
    try:
        return merge(current, patch, tuple(painters.available))
    except InvalidSettings as error:
        fields = tuple((problem.field, problem.message) for problem in error.problems[:FIELDS_NAMED])
        raise ClientError(Code.INVALID_SETTINGS, fields=fields) from None


class Applier:
    """`settings`, `version` and `notes` are what is in force; `painted` says that the worker has said so, `refusal` why
    it can paint nothing with them."""

    def __init__(self, worker: WorkerClient, painters: Painters, settings: Settings) -> None:
        self.settings = settings
        self.version = 0
        self.notes: list[str] = []
        self.painted = False
        self.refusal: Rejected | None = None
        self._worker = worker
        self._painters = painters
        self._turn = asyncio.Lock()
        self._answer: asyncio.Future[Applied | Rejected | None] | None = None
        self._asked = 0  # the version that `_answer` is about; answers to others come too, to a connection's first say

    async def apply(self, patch: dict[str, object], in_force: Callable[[], None]) -> SettingsAppliedData:
        """`in_force` is called before the answer if anything changed. Raises ClientError."""
        async with self._turn:
            change = checked(self.settings, patch, self._painters)
            rebuilding: list[str] = []
            if change.changed:
                rebuilding = await self._put_in_force(change.settings)
                self.settings, self.version = change.settings, self.version + 1
                in_force()
            return SettingsAppliedData(
                version=self.version,
                settings=self.settings.model_dump(mode="json"),
                changed=list(change.changed),
                rebuilding=rebuilding,
                notes=self.notes,
            )

    async def _put_in_force(self, settings: Settings) -> list[str]:
        """Answers the names of those that show only later. Raises ClientError."""
        version = self.version + 1
        self._answer, self._asked = asyncio.get_running_loop().create_future(), version
        if not self._worker.apply(version, settings):
            self.notes = [LATER]
            return []
        try:
            async with asyncio.timeout(APPLY_TIMEOUT):
                answer = await self._answer
        except TimeoutError:
            self._worker.apply(self.version, self.settings)  # it may still get there: then back again
            raise ClientError(Code.APPLY_FAILED, "The pipeline did not answer in time.") from None
        finally:
            self._answer = None
        if isinstance(answer, Rejected):
            self._worker.keep(self.version, self.settings)
            raise ClientError(known(answer.code), answer.message, answer.fix)
        return answer.rebuilding if answer else []

    def applied(self, applied: Applied) -> bool:
        """As `rejected`."""
        self.notes, self.painted, self.refusal = applied.notes, True, None
        return self._settle(applied.version, applied)

    def rejected(self, rejected: Rejected) -> bool:
        """Whether a message was waiting for this answer; otherwise it is about the settings that were in force before
        a new worker or another model came, and nothing is painted with them."""
        if self._settle(rejected.version, rejected):
            return True
        self.painted, self.refusal = False, rejected
        return False

    def lost(self) -> None:
        """The worker is gone; the next one starts with the newest settings, so they count as in force."""
        self.painted, self.refusal = False, None
        if self._settle(self._asked, None):
            self.notes = [LATER]

    def _settle(self, version: int, answer: Applied | Rejected | None) -> bool:
        if self._answer is None or self._answer.done() or version != self._asked:
            return False
        self._answer.set_result(answer)
        return True
