"""Puts the settings messages of one session into force, one after the other, each whole or not at all.

A message is in force when the worker says so; a message that the worker rejects leaves settings and version as they
were. While the worker is away, or knows nothing of the session, settings are taken as they are, and it starts with
them. Settings that the worker ends of, or has no memory for, give way to the last ones that worked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from pipeline.policy.blame import PROVEN_AFTER
from pipeline.settings import Change, InvalidSettings, Settings, merge
from pipeline.worker.client import WorkerClient
from pipeline.worker.messages import Applied, Rejected
from webrtc_server.limits import APPLY_TIMEOUT
from webrtc_server.protocol.error_codes import ClientError, Code, known
from webrtc_server.protocol.messages import SettingsAppliedData
from webrtc_server.sessions.painters import Painters

FIELDS_NAMED = 30  # bad fields in one error, which is to stay under 16 KiB
LATER = "takes effect when painting begins or goes on"
ROLLED_BACK = "The last settings that worked are in force again."
DEADLY = "The picture process ended again and again at work on these settings."
ALL_DEADLY = "The picture process ended again and again at work on your picture."
OTHERS = "Choose other settings."


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
        self._working: Settings | None = None  # the last that painted as many frames as prove them
        self._painted_frames = 0  # with the version in force
        self._worker = worker
        self._painters = painters
        self._turn = asyncio.Lock()
        self._answer: asyncio.Future[Applied | Rejected | None] | None = None
        self._asked = 0  # the version that `_answer` is about; answers to others come too, to a connection's first say

    async def apply(
        self, patch: dict[str, object], in_force: Callable[[], None], versions: Collection[str] | None = None
    ) -> SettingsAppliedData:
        """`in_force` is called before the answer if anything changed; `versions`: see `Session.apply`. Raises
        ClientError."""
        async with self._turn:
            if versions is not None and str(self.version) not in versions:  # here, for others may be before it
                raise ClientError(Code.PRECONDITION_FAILED, f"The settings are in version {self.version} now.")
            change = checked(self.settings, patch, self._painters)
            rebuilding: list[str] = []
            if change.changed:
                rebuilding = await self._put_in_force(change.settings)
                self._set(change.settings)
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
            answer = await self._answered(self._answer)
        except TimeoutError:
            self._worker.apply(self.version, self.settings)  # it may still get there: then back again
            raise ClientError(Code.APPLY_FAILED, "The pipeline did not answer in time.") from None
        finally:
            self._answer = None
        if answer is None:  # in force, whoever was guilty of what came before
            self._worker.keep(version, settings)
            return []
        if isinstance(answer, Applied) and self.refusal:  # it came between that answer and this line
            answer, self.refusal = self.refusal, None
            self._worker.apply(self.version, self.settings)
        if isinstance(answer, Rejected):
            self._worker.keep(self.version, self.settings)
            raise ClientError(known(answer.code), answer.message, answer.fix)
        return answer.rebuilding

    async def _answered(self, answer: asyncio.Future[Applied | Rejected | None]) -> Applied | Rejected | None:
        """As long as something is being loaded it may be what these settings need, or stand in its way; no load lasts
        for ever, the supervisor sees to that. Raises TimeoutError."""
        while True:
            await asyncio.wait([answer], timeout=APPLY_TIMEOUT)
            if answer.done():
                return answer.result()
            if not self._painters.supervisor.state.loads:
                raise TimeoutError

    @property
    def is_under_way(self) -> bool:
        """A message is being put into force."""
        return self._turn.locked()

    def follow(self, older: Applier) -> None:
        """Take over from the session whose place this one takes what the worker client, which follows too, goes by."""
        if self._worker.is_kept_away:
            self.refusal = older.refusal

    def _set(self, settings: Settings) -> None:
        self.settings, self.version = settings, self.version + 1
        self._painted_frames, self.refusal = 0, None

    def painted_with(self, version: int) -> None:
        """A picture was painted with the settings of that version."""
        self._painted_frames += version == self.version
        if self._painted_frames == PROVEN_AFTER:
            self._working = self.settings

    def roll_back(self, version: int) -> bool:
        """Put the last settings that worked into force, if those of `version`, which do not, still are."""
        working = self._working
        if version != self.version or self.is_under_way or working is None or working == self.settings:
            return False
        self._set(working)
        self.notes = [] if self._worker.apply(self.version, self.settings) else [LATER]
        return True

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

    def lost(self, guilty: bool) -> ClientError | None:
        """The worker is gone; the next one starts with the newest settings, so they count as in force.

        If this session is guilty of it, then by what has just been asked for, which is rejected, where the settings in
        force have worked. Where they have not, it is they, and what was asked for may be the cure. Without such a
        message the last settings that worked are back in force, and if there are none nothing is painted until others
        come. The client is to be told what this returns.
        """
        self.painted, self.refusal = False, None
        if guilty and self._working == self.settings:
            if self._settle(self._asked, Rejected(self._asked, Code.APPLY_FAILED, DEADLY, OTHERS)):
                return None
        elif self._settle(self._asked, None):
            self.notes = [LATER]
            return None
        if not guilty:
            return None
        if self.roll_back(self.version):
            return ClientError(Code.APPLY_FAILED, f"{DEADLY} {ROLLED_BACK}", OTHERS)
        self.refusal = Rejected(self.version, Code.APPLY_FAILED, ALL_DEADLY, OTHERS)
        return ClientError(Code.APPLY_FAILED, ALL_DEADLY, OTHERS)

    def _settle(self, version: int, answer: Applied | Rejected | None) -> bool:
        if self._answer is None or self._answer.done() or version != self._asked:
            return False
        self._answer.set_result(answer)
        return True
