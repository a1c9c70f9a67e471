"""Offers written by hand: the smallest that is taken, and one that reaches every limit at once and still passes."""

from __future__ import annotations

from webrtc_server.limits import (
    SDP_BYTES,
    SDP_CANDIDATES,
    SDP_CODEC_LINES,
    SDP_FEEDBACK_FOR_ALL,
    SDP_LINE_BYTES,
    SDP_MDNS_NAMES,
    SDP_MEDIA_SECTIONS,
    SDP_SSRC_LINES,
)

TRANSPORT = (
    "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=setup:actpass\r\na=rtcp-mux\r\n"
    f"a=fingerprint:sha-256 {':'.join(['00'] * 32)}\r\n"
)


def section(mid: int = 0, extra: str = "", codec: str = "VP8", kind: str = "video") -> str:
    head = f"m={kind} 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:{mid}\r\na=sendrecv\r\n"
    return f"{head}{TRANSPORT}a=rtpmap:96 {codec}/90000\r\n{extra}"


def offer(*sections: str) -> str:
    return "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n" + "".join(sections)


def candidate(address: str, port: int = 50_000, transport: str = "udp", component: int = 1) -> str:
    return f"a=candidate:1 {component} {transport} 1 {address} {port} typ host\r\n"


def worst_offer() -> str:
    """Every limit of `limits.py` reached, with what costs aiortc most: codecs, their retransmissions, and feedback."""
    sections = [section(mid, _costly(mid)) for mid in range(SDP_MEDIA_SECTIONS)]
    sections[-1] += "a=x:" + "y" * (SDP_LINE_BYTES - 4) + "\r\n"
    sdp = offer(*sections)
    return sdp + "a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\r\n" * ((SDP_BYTES - len(sdp)) // 48)


def _costly(mid: int) -> str:
    share = [limit // SDP_MEDIA_SECTIONS for limit in (SDP_CODEC_LINES, SDP_FEEDBACK_FOR_ALL, SDP_CANDIDATES)]
    codecs, for_all, candidates = share
    retransmitted = [number for number in range(codecs) if number != 96]
    return "".join(
        [
            *(f"a=rtpmap:{number} rtx/90000\r\n" for number in retransmitted),
            *(f"a=fmtp:{number} apt=96\r\n" for number in [*retransmitted, 96]),
            *(f"a=rtcp-fb:* x{number}\r\n" for number in range(for_all)),
            *("a=rtcp-fb:97 nack pli\r\n" for _ in range(codecs - for_all)),
            *(f"a=ssrc:{number} cname:x\r\n" for number in range(SDP_SSRC_LINES // SDP_MEDIA_SECTIONS)),
            *(candidate(f"{mid}-{n}.local") for n in range(SDP_MDNS_NAMES // SDP_MEDIA_SECTIONS)),
            *(candidate(f"10.0.{mid}.{n}") for n in range(SDP_MDNS_NAMES // SDP_MEDIA_SECTIONS, candidates)),
        ]
    )
