"""An offer, looked at before any WebRTC library sees it: limits, required lines, and which section is which. Pure.

The library's own parser is quadratic and answers nonsense with any exception there is, so size and shape are
checked here. Only what decides the roles of the sections is read; the rest is the library's business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from webrtc_server.limits import (
    SDP_BYTES,
    SDP_CANDIDATES,
    SDP_CODEC_LINES,
    SDP_FEEDBACK_FOR_ALL,
    SDP_LINE_BYTES,
    SDP_MEDIA_SECTIONS,
    SDP_SSRC_LINES,
)
from webrtc_server.protocol import candidates
from webrtc_server.protocol.error_codes import ClientError, Code

DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
REQUIRED = ("ice-ufrag", "ice-pwd", "fingerprint")  # RFC 8839 section 5.4, RFC 8122 section 5
PAYLOAD_TYPE = re.compile("[1-9]?[0-9]|1[01][0-9]|12[0-7]")  # RFC 3550 section 5.1: 7 bits


@dataclass(frozen=True)
class Section:
    """One media section (RFC 8866 section 5.14). `direction` is the client's, and stands in `lines` in any case."""

    kind: str
    mid: str
    direction: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class OfferPlan:
    """What each section is for: the client's video comes in on `input_mid`, ours goes out on `output_mid` (or not).

    `sdp` is the offer with a direction in each section, as aiortc knows neither the default nor one for all sections,
    and without the candidates that are not used.
    `videos` is how many of the sections are video.
    """

    input_mid: str | None
    output_mid: str | None
    sdp: str
    videos: int


def plan(sdp: str) -> OfferPlan:
    """Raises ClientError `too_large`, `bad_sdp` or `no_video`."""
    head, sections = parse(sdp)
    videos = [section for section in sections if section.kind == "video"]
    source = next((section for section in videos if section.direction in ("sendrecv", "sendonly")), None)
    if source is None:
        raise ClientError(Code.NO_VIDEO)
    if source.direction == "sendrecv":
        sink: Section | None = source
    else:
        sink = next((section for section in videos if section.direction == "recvonly"), None)
    return OfferPlan(source.mid, sink.mid if sink else None, _text(head, sections), len(videos))


def plan_view(sdp: str) -> OfferPlan:
    """The plan for one who only watches. Raises ClientError `too_large`, `bad_sdp` or `no_video`."""
    head, sections = parse(sdp)
    videos = [section for section in sections if section.kind == "video"]
    sink = next((section for section in videos if section.direction in ("recvonly", "sendrecv")), None)
    if sink is None:
        raise ClientError(Code.NO_VIDEO, "The offer receives no video.", "Offer one video section that is recvonly.")
    return OfferPlan(None, sink.mid, _text(head, sections), len(videos))


def _text(head: list[str], sections: list[Section]) -> str:
    return "\r\n".join([*head, *(line for section in sections for line in section.lines)]) + "\r\n"


def codec(sdp: str, mid: str) -> str:
    """The name of the first codec of a section, `VP8` say; empty if there is no such section."""
    _, sections = parse(sdp)
    lines = next((section.lines for section in sections if section.mid == mid), ("",))
    payload_type = next(iter(lines[0].split(" ")[3:]), "")
    names = (line.partition(" ")[2] for line in lines if line.startswith(f"a=rtpmap:{payload_type} "))
    return next(names, "").partition("/")[0]


def parse(sdp: str) -> tuple[list[str], list[Section]]:
    """The lines before the first media section, and the sections. Raises ClientError `too_large`, `bad_sdp`."""
    if len(sdp.encode("utf-8", "replace")) > SDP_BYTES:
        raise ClientError(Code.TOO_LARGE, f"The offer has more than {SDP_BYTES // 1024} KiB of SDP.")
    lines = sdp.replace("\r\n", "\n").rstrip("\n").split("\n")
    if lines[0] != "v=0":
        raise _bad("it does not begin with v=0")
    if any(len(line) > SDP_LINE_BYTES for line in lines):
        raise _bad("a line is too long")
    if any(len(line) < 2 or line[1] != "=" or not line.isprintable() for line in lines):
        raise _bad("a line is not of the form x=...")
    lines = candidates.usable(lines)
    _at_most(lines, candidates.PREFIX, SDP_CANDIDATES)
    _at_most(lines, "a=ssrc", SDP_SSRC_LINES)
    _at_most(lines, "a=rtpmap:", SDP_CODEC_LINES)
    _at_most(lines, "a=fmtp:", SDP_CODEC_LINES)
    _at_most(lines, "a=rtcp-fb:", SDP_CODEC_LINES)
    _at_most(lines, "a=rtcp-fb:*", SDP_FEEDBACK_FOR_ALL)
    starts = [index for index, line in enumerate(lines) if line.startswith("m=")]
    if not starts:
        raise ClientError(Code.NO_VIDEO)
    if len(starts) > SDP_MEDIA_SECTIONS:
        raise _bad(f"it has more than {SDP_MEDIA_SECTIONS} media sections")
    session_level = _attributes(lines[: starts[0]])
    sections = [
        _section(lines[start:end], session_level) for start, end in zip(starts, [*starts[1:], len(lines)], strict=True)
    ]
    if len({section.mid for section in sections}) != len(sections):
        raise _bad("two media sections have the same mid, or none")
    return lines[: starts[0]], sections


def _section(lines: list[str], session_level: dict[str, str]) -> Section:
    kind, *rest = lines[0].removeprefix("m=").split(" ")
    if kind not in ("audio", "video", "application") or len(rest) < 3 or not rest[0].isdecimal():
        raise _bad(f"{lines[0][:80]!r} is not a media section of audio, video or data")
    types = [line.removeprefix("a=rtpmap:").partition(" ")[0] for line in lines if line.startswith("a=rtpmap:")]
    if len(set(types)) < len(types) or not all(map(PAYLOAD_TYPE.fullmatch, types)):
        raise _bad("a payload type is described twice, or is not one of 0 to 127")
    own = _attributes(lines[1:])
    if any(name in own for name in DIRECTIONS):  # a section's own direction is not joined with the session's
        session_level = {name: value for name, value in session_level.items() if name not in DIRECTIONS}
    attributes = session_level | own
    missing = [name for name in REQUIRED if not attributes.get(name)]
    if missing:
        raise _bad(f"a media section has no {', '.join(missing)}")
    direction = next((name for name in DIRECTIONS if name in attributes), "sendrecv")
    if rest[0] == "0" and "bundle-only" not in attributes:
        direction = "inactive"
    explicit = lines if any(name in own for name in DIRECTIONS) else [*lines, f"a={direction}"]
    return Section(kind, attributes.get("mid", ""), direction, tuple(explicit))


def _attributes(lines: list[str]) -> dict[str, str]:
    """Name to value; of several lines with one name the last."""
    result = {}
    for line in lines:
        if line.startswith("a="):
            name, _, value = line[2:].partition(":")
            result[name] = value
    return result


def _at_most(lines: list[str], prefix: str, limit: int) -> None:
    if sum(line.startswith(prefix) for line in lines) > limit:
        raise _bad(f"it has more than {limit} {prefix.rstrip(':')} lines")


def _bad(reason: str) -> ClientError:
    return ClientError(Code.BAD_SDP, f"The offer cannot be used: {reason}.")
