"""What an answer says beyond what aiortc writes: how fast a browser may begin to send. Pure.

Chromium begins at 300 kbit/s and climbs 8 % a second, sending 1280x720 as 640x360 meanwhile, unless the answer's codec
parameters say otherwise. The names are libwebrtc's own (media/base/media_constants.cc); others ignore them
(RFC 8866 section 6.15: unknown parameters of fmtp are). What the link then really carries, REMB tells it.
"""

from __future__ import annotations

START_KBPS = 3_000  # 1280x720 at once
MIN_KBPS = 300  # below it there is no picture worth painting
MAX_KBPS = 6_000  # 1920x1080; a painter sees no more in it


def raise_uplink(sdp: str, mid: str) -> str:
    """The answer with the three rates on every codec of the section `mid` that carries pictures."""
    head, *sections = sdp.replace("\r\n", "\n").split("\nm=")
    result = [head]
    for section in sections:
        lines = section.rstrip("\n").split("\n")
        result.append("\n".join(_with_rates(lines) if f"a=mid:{mid}" in lines else lines))
    return "\nm=".join(result).rstrip("\n").replace("\n", "\r\n") + "\r\n"


def _with_rates(lines: list[str]) -> list[str]:
    rates = f"x-google-start-bitrate={START_KBPS};x-google-min-bitrate={MIN_KBPS};x-google-max-bitrate={MAX_KBPS}"
    result = []
    for line in lines:
        name, _, value = line.partition(":")
        payload, _, parameters = value.partition(" ")
        if name == "a=rtpmap" and parameters.upper().startswith(("VP8/", "H264/")):
            result.append(line)
            if not any(other.startswith(f"a=fmtp:{payload} ") for other in lines):
                result.append(f"a=fmtp:{payload} {rates}")
        elif name == "a=fmtp" and not parameters.startswith("apt="):
            result.append(f"{line};{rates}")
        else:
            result.append(line)
    return result
