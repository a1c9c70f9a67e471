"""Limits of an offer: at each it is taken, one above it is refused with a code and a fix; at all at once it is cheap.

The other limits are tested where what they bound is tested; docs/reference/limits.md lists them all.
"""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.fakes.offers import candidate, offer, section, worst_offer
from tests.webrtc_server.test_negotiation import answered
from webrtc_server import limits
from webrtc_server.protocol.error_codes import ClientError, Code
from webrtc_server.protocol.sdp_guard import plan

STALL = 0.25  # seconds of the event loop that no request may take


def of_bytes(count: int) -> str:
    sdp = offer(section())
    lines, rest = divmod(count - len(sdp), 50)
    return sdp + ("a=" + "x" * 46 + "\r\n") * (lines - 1) + "a=" + "x" * (46 + rest) + "\r\n"


SDP_LIMITS = {
    "bytes": (limits.SDP_BYTES, of_bytes),
    "line": (limits.SDP_LINE_BYTES, lambda n: offer(section(extra="a=" + "x" * (n - 2) + "\r\n"))),
    "sections": (limits.SDP_MEDIA_SECTIONS, lambda n: offer(*map(section, range(n)))),
    "candidates": (limits.SDP_CANDIDATES, lambda n: offer(section(extra=candidate("10.0.0.1") * n))),
    "ssrc": (limits.SDP_SSRC_LINES, lambda n: offer(section(extra="a=ssrc:1 cname:x\r\n" * n))),
    "fmtp": (limits.SDP_CODEC_LINES, lambda n: offer(section(extra="a=fmtp:96 x\r\n" * n))),
    "feedback": (limits.SDP_CODEC_LINES, lambda n: offer(section(extra="a=rtcp-fb:96 x\r\n" * n))),
    "feedback for all": (limits.SDP_FEEDBACK_FOR_ALL, lambda n: offer(section(extra="a=rtcp-fb:* x\r\n" * n))),
}


@pytest.mark.parametrize(("limit", "make"), SDP_LIMITS.values(), ids=SDP_LIMITS)
def test_offer_at_a_limit_and_one_above(limit: int, make: object) -> None:
    assert callable(make)
    assert plan(make(limit)).input_mid == "0"
    with pytest.raises(ClientError) as refused:
        plan(make(limit + 1))
    assert refused.value.code in (Code.BAD_SDP, Code.TOO_LARGE)
    assert refused.value.fix


def test_codec_lines_at_the_limit_and_one_above() -> None:
    own = limits.SDP_MEDIA_SECTIONS  # one in each section already
    at_limit = [section(mid, "".join(f"a=rtpmap:{n} x/1\r\n" for n in range(124) if n != 96)) for mid in range(own)]
    assert sum(one.count("a=rtpmap:") for one in at_limit) == limits.SDP_CODEC_LINES - own
    at_limit[-1] += "".join(f"a=rtpmap:{n} x/1\r\n" for n in range(124, 124 + own))
    assert plan(offer(*at_limit)).videos == own
    at_limit[0] += "a=rtpmap:124 x/1\r\n"
    with pytest.raises(ClientError, match="rtpmap lines"):
        plan(offer(*at_limit))


@pytest.mark.parametrize("payload_type", ["96", "128", "096", "-1", "", "٩"])
def test_payload_types_are_seven_bits_each_described_once(payload_type: str) -> None:
    assert plan(offer(section(extra="a=rtpmap:127 x/1\r\na=rtpmap:0 x/1\r\n"))).videos == 1
    with pytest.raises(ClientError, match="payload type"):
        plan(offer(section(extra=f"a=rtpmap:{payload_type} x/1\r\n")))


async def test_an_offer_at_all_limits_at_once_does_not_hold_the_event_loop() -> None:
    """Copying each of 500 lines of feedback to each of 500 codecs held it for 2 s."""
    sdp = worst_offer()
    assert limits.SDP_BYTES - 50 < len(sdp) <= limits.SDP_BYTES
    work = asyncio.create_task(answered(sdp))
    longest = 0.0
    while not work.done():
        begun = time.thread_time()  # of this thread alone, for other processes may be busy
        await asyncio.sleep(0.001)
        longest = max(longest, time.thread_time() - begun)
    assert "m=video" in await work
    assert longest < STALL
