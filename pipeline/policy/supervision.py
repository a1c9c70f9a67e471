"""How the worker is looked after: when to ping it, when it is stalled, when it is killed, when the next one starts.

Pure: `supervisor.py` tells it what happens and does what it says. One thread of the worker touches models, so a hang is
the worker's, never one session's: the pulse says what that thread is doing and for how long, and a pulse that does not
come says that the process is stuck as a whole.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

PING_INTERVAL = 0.25  # seconds between an answer and the next ping
STALL_AFTER = 1.9  # seconds in one step, or without a pulse: users are told within 2
STALL_RATIO = 10  # times its usual length that a step may take, where that is more
KILL_AFTER = 8.0  # seconds stalled, so that a hang is over within 10, and pictures are back within 12 on a CPU
PREPARING_KILL_AFTER = 28.0  # the same where a step may be long: a first frame records graphs, a load holds the GIL
LOAD_TIMEOUT = 600.0  # seconds from the start, or the wish for a model, to a first frame; it may be downloaded in it

FIRST_DELAY = 0.5  # seconds, after the second quick death in a row
LONGEST_DELAY = 30.0  # seconds; between two trials in a crash loop, too
HEALTHY_AFTER = 30.0  # seconds of service after which earlier deaths are forgotten
LOOP_DEATHS = 5  # so many within LOOP_WINDOW are a crash loop
LOOP_WINDOW = 60.0  # seconds

Doing = Literal["nothing", "painting", "preparing"]
Verdict = Literal["well", "stalled", "hung", "late"]


@dataclass(frozen=True, slots=True)
class Pulse:
    """What the painting thread is at. `seconds`: since when; `usual`: the median of its steps, 0 before the first.

    `preparing` is what may take long: settings put into force, the first frame after that. `loads`: a model or pipeline
    is being loaded in another thread.
    """

    doing: Doing
    seconds: float
    usual: float
    loads: bool


@dataclass(frozen=True, slots=True)
class Rest:
    """`delay`: seconds until the next start. `looping`: it has died so often that nobody should wait for it."""

    delay: float
    looping: bool


NO_PULSE = Pulse("nothing", 0.0, 0.0, False)


@dataclass
class Supervision:
    """Of one worker and its successors: the first death costs no delay, quick ones in a row double it."""

    _loading_since: float | None = None
    _ready_since: float | None = None
    _asked: bool = False
    _heard: float = 0.0
    _pulse: Pulse = NO_PULSE
    _stalled_since: float | None = None
    _quick_deaths: int = 0
    _deaths: deque[float] = field(default_factory=lambda: deque(maxlen=LOOP_DEATHS))
    _looping: bool = False

    def started(self, now: float) -> None:
        self._loading_since, self._ready_since, self._stalled_since = now, None, None
        self._asked, self._heard, self._pulse = False, now, NO_PULSE

    def ready(self, now: float) -> None:
        """It paints, for the first time."""
        self._loading_since, self._ready_since, self._heard = None, now, now

    def ping(self, now: float) -> bool:
        """Whether to send one now. At most one is unanswered."""
        due = not self._asked and now - self._heard >= self._patience()
        self._asked = self._asked or due
        return due

    def answered(self, pulse: Pulse, now: float) -> None:
        """Also unasked, when a load begins: it may hold the GIL, and with it the next answer."""
        self._asked, self._heard, self._pulse = False, now, pulse
        if self._ready_since is not None:
            since = now if self._loading_since is None else self._loading_since
            self._loading_since = since if pulse.loads else None

    def look(self, now: float) -> Verdict:
        """`hung` and `late`, which is about a load, mean that it is to be killed."""
        if self._loading_since is not None and now - self._loading_since >= LOAD_TIMEOUT:
            return "late"
        if self._ready_since is None or not self._is_stuck(now):
            self._stalled_since = None
            return "well"
        if self._stalled_since is None:  # counted from here: it may be this process that was stopped for a while
            self._stalled_since = now
        return "hung" if now - self._stalled_since >= self._kill_after() else "stalled"

    def wait(self, now: float) -> float:
        """Seconds until `ping` and `look` are to be called again, if nothing comes before."""
        due = now + PING_INTERVAL if self._asked else self._heard + self._patience()
        if self._loading_since is not None:
            due = min(due, self._loading_since + LOAD_TIMEOUT)
        if self._ready_since is not None and self._stalled_since is None:
            due = min(due, max(now, self._heard + STALL_AFTER))
        return max(0.0, due - now)

    def last_words(self, now: float) -> str:
        """What is known of it, for the log."""
        pulse = self._pulse
        usual = f", usually {pulse.usual:.3f} s" if pulse.usual else ""
        doing = "" if pulse.doing == "nothing" else f": it was {pulse.doing} for {pulse.seconds:.1f} s{usual}"
        return f"last heard of {now - self._heard:.1f} s ago{doing}"

    def died(self, now: float) -> Rest:
        if self._ready_since is not None and now - self._ready_since >= HEALTHY_AFTER:
            self.forget_deaths()
        self._ready_since = None
        self._quick_deaths += 1
        self._deaths.append(now)
        if len(self._deaths) == LOOP_DEATHS and now - self._deaths[0] <= LOOP_WINDOW:
            self._looping = True
        if self._looping:
            return Rest(LONGEST_DELAY, True)
        if self._quick_deaths == 1:
            return Rest(0.0, False)
        return Rest(min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** (self._quick_deaths - 2)), False)

    def forget_deaths(self) -> None:
        """The next one is the first."""
        self._quick_deaths, self._looping = 0, False
        self._deaths.clear()

    def _step_limit(self) -> float:
        ratio = STALL_RATIO if self._pulse.doing == "painting" else 0
        return max(STALL_AFTER, ratio * self._pulse.usual)

    def _patience(self) -> float:
        """Seconds from an answer to the next ping: sooner if the step under way reaches its limit before."""
        left = self._step_limit() - self._pulse.seconds
        return left if self._pulse.doing != "nothing" and 0 < left < PING_INTERVAL else PING_INTERVAL

    def _is_stuck(self, now: float) -> bool:
        in_a_step = self._pulse.doing != "nothing" and self._pulse.seconds >= self._step_limit()
        return in_a_step or now - self._heard >= STALL_AFTER

    def _kill_after(self) -> float:
        may_be_long = self._pulse.loads or self._pulse.doing == "preparing"
        return PREPARING_KILL_AFTER if may_be_long else KILL_AFTER
