"""Whether a session's settings or pictures end the worker. Pure.

What ends it once may have been chance, and whoever was painted together with the cause looks as guilty: so a suspect is
painted alone by the next worker, and is guilty if that one ends at work for it too, before it is proven.
"""

from __future__ import annotations

from dataclasses import dataclass

PROVEN_AFTER = 10  # frames well painted: by then the worker has got along with these settings
GUILTY_AFTER = 2  # workers that ended at work for a session which was not proven


@dataclass
class Blame:
    """Of one session, over all workers that it sees."""

    _strikes: int = 0
    _painted: int = 0  # by this worker, with these settings

    @property
    def is_suspect(self) -> bool:
        return self._strikes > 0

    def changed(self) -> None:
        """It has other settings."""
        self._painted = 0

    def painted(self) -> None:
        """A frame came back well, with the present settings."""
        self._painted += 1
        if self._painted >= PROVEN_AFTER:
            self._strikes = 0

    def worker_ended(self, at_work: bool) -> bool:
        """Whether this session is guilty of it. `at_work`: what the worker did for it last did not end well.

        Who is found guilty stays a suspect: one more death is enough.
        """
        self._strikes += at_work and self._painted < PROVEN_AFTER
        self._painted = 0
        guilty = self._strikes >= GUILTY_AFTER
        self._strikes = min(self._strikes, GUILTY_AFTER - 1)
        return guilty

    def handed_on(self, hangs: bool) -> Blame:
        """Of the session that takes this one's place. `hangs`: the worker does just now, at work for this one."""
        heir = Blame(self._strikes, self._painted)
        heir.worker_ended(hangs)
        return heir
