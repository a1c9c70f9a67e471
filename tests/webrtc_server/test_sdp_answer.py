"""The answer's rates: on every codec of the input section that carries pictures, and nowhere else."""

from __future__ import annotations

from webrtc_server.protocol.sdp_answer import raise_uplink

ANSWER = """v=0
o=- 1 1 IN IP4 0.0.0.0
s=-
t=0 0
m=audio 9 UDP/TLS/RTP/SAVPF 111
a=mid:0
a=rtpmap:111 opus/48000/2
a=fmtp:111 minptime=10
m=video 9 UDP/TLS/RTP/SAVPF 102 103 96 97
a=mid:1
a=rtpmap:102 H264/90000
a=fmtp:102 packetization-mode=1;profile-level-id=42e01f
a=rtpmap:103 rtx/90000
a=fmtp:103 apt=102
a=rtpmap:96 VP8/90000
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
m=video 9 UDP/TLS/RTP/SAVPF 96
a=mid:2
a=rtpmap:96 VP8/90000
""".replace("\n", "\r\n")
RATES = "x-google-start-bitrate=3000;x-google-min-bitrate=300;x-google-max-bitrate=6000"


def test_rates_are_added_to_the_codecs_of_one_section() -> None:
    assert raise_uplink(ANSWER, "1") == ANSWER.replace("=42e01f", f"=42e01f;{RATES}").replace(
        "a=rtpmap:96 VP8/90000\r\na=rtpmap:97", f"a=rtpmap:96 VP8/90000\r\na=fmtp:96 {RATES}\r\na=rtpmap:97"
    )


def test_answer_without_that_section_is_left_alone() -> None:
    assert raise_uplink(ANSWER, "9") == ANSWER
