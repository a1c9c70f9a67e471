"""How long a session may be silent: when the worker is freed of it, and when it ends. Pure.

A peer connection tells late or never that its client is gone (aiortc after 30 s, and not at all while somebody answers
its checks), so the session's own signs of life decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from webrtc_server.limits import IDLE_END, REST_AFTER, SILENCE_END, UNUSABLE_END


@dataclass
class Signs:
    """When a session last gave signs of life, in seconds of the monotonic clock; None: not yet."""

    since: float  # it connected, or got its place: who is in line is not asked for pictures
    picture: float | None = None  # of any size
    word: float | None = None  # any message
    unusable_since: float | None = None  # the first of the pictures in a row, up to the newest, of an unusable size
    camera_ended: bool = False  # the client said that no more pictures come
    watched: bool = False  # the connection itself notices a client that is gone


class End(Enum):
    SILENT = auto()
    UNUSABLE = auto()


@dataclass(frozen=True)
class Verdict:
    """`rests`: nothing is to be held for it in the worker. `end`: why the session is to end now."""

    rests: bool = False
    end: End | None = None


def judge(signs: Signs, now: float, wanted: bool) -> Verdict:
    """`wanted`: others wait for the place of this session."""
    newest = signs.since if signs.picture is None else signs.picture
    if signs.unusable_since is not None and newest - signs.unusable_since >= UNUSABLE_END:
        return Verdict(end=End.UNUSABLE)
    picture = max(signs.since, newest)
    sign = picture if signs.word is None else max(picture, signs.word)
    if not signs.watched and now - sign >= SILENCE_END:
        return Verdict(end=End.SILENT)
    if (wanted or signs.camera_ended) and now - picture >= IDLE_END:
        return Verdict(end=End.SILENT)
    return Verdict(rests=now - sign >= REST_AFTER)
