"""The pure wire logic: JSON that is refused, messages, rate limit, offers, session states."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.settings import InvalidSettings, Settings, merge
from pipeline.worker.messages import Loading
from webrtc_server import limits
from webrtc_server.policy.token_bucket import TokenBucket
from webrtc_server.protocol.control import ControlProtocol, HangUp, Outcome, Reply
from webrtc_server.protocol.error_codes import TABLE, ClientError, Code, known
from webrtc_server.protocol.json_guard import parse_object
from webrtc_server.protocol.messages import (
    ErrorData,
    GetStatusMessage,
    LoadModelMessage,
    PongData,
    SettingsMessage,
    StatusData,
    SubscribeStatsMessage,
    encode,
)
from webrtc_server.protocol.sdp_guard import OfferPlan, codec, plan
from webrtc_server.protocol.session_state import Facts, derive, progress_words


def outcome(function: Callable[[Any], object], argument: str | bytes) -> type | Code:
    """What came of it: a type, or the code of the refusal. Any other exception is the test's failure."""
    try:
        return type(function(argument))
    except ClientError as error:
        return error.code


def refused(text: str | bytes) -> Code:
    with pytest.raises(ClientError) as error:
        parse_object(text)
    return error.value.code


def nested(depth: int) -> str:
    return '{"a": ' * (depth - 1) + "{}" + "}" * (depth - 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[1]",
        '"text"',
        "{",
        '{"a": NaN}',
        '{"a": -Infinity}',
        '{"a": 1e400}',
        '{"a": ' + "1" * 5000 + "}",
        '{"a": 1}'.encode("utf-16"),
        '{"a": 1}'.encode("utf-32"),
        b'\xef\xbb\xbf{"a": 1}',
        b'{"a": "\xed\xa0\x80"}',
        '{"a": 1, "a": 2}',
        '{"a": {"b": 1, "b": 1}}',
        r'{"a": "\ud800"}',
        r'{"\udfff": 1}',
        nested(limits.JSON_DEPTH + 1),
        "[" * 30_000,
        b'{"a": "\xff"}',
    ],
)
def test_bad_json_is_refused(text: str | bytes) -> None:
    assert refused(text) is Code.BAD_MESSAGE


def test_numbers_at_the_edge_of_json() -> None:
    assert parse_object('{"a": -0, "b": -0.0, "c": 1e308, "d": 1e-400}') == {"a": 0, "b": 0.0, "c": 1e308, "d": 0.0}


def test_json_limits_to_the_byte() -> None:
    assert parse_object(nested(limits.JSON_DEPTH))
    frame = len('{"a": ""}')
    assert parse_object('{"a": "' + "x" * (limits.JSON_BYTES - frame) + '"}')
    assert refused('{"a": "' + "x" * (limits.JSON_BYTES - frame + 1) + '"}') is Code.TOO_LARGE
    assert refused('{"a": "' + "é" * (limits.JSON_BYTES // 2) + '"}') is Code.TOO_LARGE


@given(st.text() | st.binary())
def test_json_guard_never_raises_anything_else(text: str | bytes) -> None:
    assert outcome(parse_object, text) in (dict, Code.BAD_MESSAGE, Code.TOO_LARGE)


PING = '{"type": "ping", "data": {"t": 1}}'


def say(message: dict[str, Any], protocol: ControlProtocol | None = None, now: float = 0.0) -> Outcome:
    [outcome] = (protocol or ControlProtocol()).receive(json.dumps(message), now)
    return outcome


def test_good_messages() -> None:
    assert isinstance(say({"type": "get_status"}), GetStatusMessage)
    assert isinstance(say({"type": "subscribe_stats", "data": {"interval_s": 1}}), SubscribeStatsMessage)
    assert isinstance(say({"type": "subscribe_stats", "data": {"interval_s": None}}), SubscribeStatsMessage)
    assert isinstance(say({"type": "load_model", "data": {"model": "x" * limits.MODEL_KEY_CHARS}}), LoadModelMessage)
    settings = say({"type": "settings", "data": {"steps": 2}, "id": "x" * 64})
    assert isinstance(settings, SettingsMessage)
    assert (settings.data, settings.id) == ({"steps": 2}, "x" * 64)
    assert say({"type": "ping", "data": {"t": 3}, "id": "p"}, now=8.0) == Reply(PongData(t=3, server_time=8), "p")


@pytest.mark.parametrize(
    ("message", "code", "given_id"),
    [
        ({"type": "dance", "id": "i"}, Code.UNKNOWN_TYPE, "i"),
        ({"data": {}, "id": "i"}, Code.BAD_MESSAGE, "i"),
        ({"type": 5, "id": "i"}, Code.BAD_MESSAGE, "i"),
        ({"type": "ping", "id": "i"}, Code.BAD_MESSAGE, "i"),
        ({"type": "ping", "data": {"t": "1"}, "id": "i"}, Code.BAD_MESSAGE, "i"),
        ({"type": "ping", "data": {"t": True}, "id": "i"}, Code.BAD_MESSAGE, "i"),
        ({"type": "get_status", "data": {"x": 1}, "id": "i"}, Code.BAD_MESSAGE, "i"),
        ({"type": "get_status", "colour": 1, "id": "i"}, Code.BAD_MESSAGE, "i"),
        ({"type": "subscribe_stats", "data": {"interval_s": 0.4}, "id": "i"}, Code.BAD_MESSAGE, "i"),
        ({"type": "subscribe_stats", "data": {"interval_s": 10.1}, "id": "i"}, Code.BAD_MESSAGE, "i"),
        ({"type": "settings", "data": [], "id": "i"}, Code.BAD_MESSAGE, "i"),
        ({"type": "load_model", "data": {"model": "x" * 101}, "id": "i"}, Code.BAD_MESSAGE, "i"),
        ({"type": "get_status", "id": ""}, Code.BAD_MESSAGE, None),
        ({"type": "get_status", "id": "x" * 65}, Code.BAD_MESSAGE, None),
        ({"type": "get_status", "id": 5}, Code.BAD_MESSAGE, None),
    ],
)
def test_bad_messages_are_answered_with_their_id(message: dict[str, Any], code: Code, given_id: str | None) -> None:
    reply = say(message)
    assert isinstance(reply, Reply)
    assert isinstance(reply.data, ErrorData)
    assert (reply.data.code, reply.id) == (code, given_id)


def test_above_the_rate_settings_merge_and_others_are_dropped() -> None:
    protocol = ControlProtocol()
    for _ in range(int(limits.MESSAGES_BURST)):
        assert len(protocol.receive('{"type": "get_status"}', 0.0)) == 1
    assert protocol.deadline(0.0) is None
    assert protocol.receive('{"type": "settings", "data": {"seed": 1, "prompt": "a"}, "id": "1"}', 0.0) == []
    assert protocol.receive('{"type": "settings", "data": {"seed": 2}, "id": "2"}', 0.0) == []
    assert protocol.receive('{"type": "settings", "data": {"prompts": [{"text": "b"}]}}', 0.0) == []
    complaints = [protocol.receive('{"type": "get_status"}', 0.001 * n) for n in range(10)]
    assert [len(outcomes) for outcomes in complaints] == [1] + 9 * [0]
    deadline = protocol.deadline(0.01)
    assert deadline
    assert deadline == pytest.approx(1 / limits.MESSAGES_PER_SECOND)
    assert protocol.due(0.01) == []
    [merged] = protocol.due(deadline)
    assert isinstance(merged, SettingsMessage)
    assert (merged.data, merged.id) == ({"seed": 2, "prompts": [{"text": "b"}]}, "2")
    assert protocol.deadline(deadline) is None


@pytest.mark.parametrize(("text", "after"), [('{"type": "get_status"}', GetStatusMessage), ("{", Reply), (PING, Reply)])
def test_held_settings_go_before_what_comes_after_them(text: str, after: type) -> None:
    protocol = ControlProtocol()
    for _ in range(int(limits.MESSAGES_BURST)):
        protocol.receive('{"type": "get_status"}', 0.0)
    protocol.receive('{"type": "settings", "data": {"seed": 1}}', 0.0)
    outcomes = protocol.receive(text, 5.0)
    assert [type(outcome) for outcome in outcomes] == [SettingsMessage, after]


def test_of_prompt_and_prompts_the_newer_is_held() -> None:
    protocol = ControlProtocol()
    for _ in range(int(limits.MESSAGES_BURST)):
        protocol.receive(PING, 0.0)
    protocol.receive('{"type": "settings", "data": {"prompts": [{"text": "b"}]}}', 0.0)
    protocol.receive('{"type": "settings", "data": {"prompt": "a"}}', 0.0)
    [merged] = protocol.due(1.0)
    assert isinstance(merged, SettingsMessage)
    assert merged.data == {"prompt": "a"}


def test_envelope_of_the_server_and_how_many_bad_fields_it_names() -> None:
    assert json.loads(encode(PongData(t=1, server_time=2))).keys() == {"type", "data"}
    assert json.loads(encode(PongData(t=1, server_time=2), "i"))["id"] == "i"
    reply = say({"type": "get_status", "data": {f"x{n}": 1 for n in range(5000)}})
    assert isinstance(reply, Reply)
    assert isinstance(reply.data, ErrorData)
    assert len(reply.data.fields) == 20


def test_the_longest_status_fits_every_peer() -> None:
    """Quotes are escaped, so they count twice; 1072 waves and 4928 quotes are the worst that the limit lets through."""
    texts = ["🌊" * 1000, "🌊" * 72 + '"' * 928, *['"' * 1000] * 4]
    prompts = [{"text": text} for text in texts[:4]]
    settings = merge(Settings(), {"prompts": prompts, "negative_prompt": texts[5]}).settings
    settings = settings.model_copy(update={"prompt": texts[4]})
    status = StatusData(
        session_id="s" * 22,
        view_id="v" * 16,
        state="running",
        reason=None,
        message="m" * 250,
        since=1e6,
        pipeline="neural-style",
        pipelines=["neural-style", "effects", "identity"],
        device="NVIDIA H100 80GB HBM3",
        model="stable-diffusion-v1-5/stable-diffusion-v1-5",
        models=["k" * 20] * 25,
        settings=settings.model_dump(mode="json"),
        settings_version=10**6,
        notes=["n" * 200, "l" * 200],
    )
    assert len(encode(status, "i" * 64).encode()) <= limits.SERVER_MESSAGE_BYTES
    with pytest.raises(InvalidSettings, match="all texts together"):
        merge(settings, {"prompts": [{"text": "🌊" * 1000}] * 4})


def test_token_bucket() -> None:
    bucket = TokenBucket(rate=10, burst=2)
    assert [bucket.take(0) for _ in range(3)] == [True, True, False]
    assert bucket.next_token(0.05) == pytest.approx(0.1)
    assert not bucket.take(0.09)
    assert bucket.take(0.1)
    assert [bucket.take(100) for _ in range(3)] == [True, True, False]
    assert not bucket.take(50)  # a clock that goes back gives nothing
    assert bucket.take(50.1)  # and takes nothing


def test_every_code_has_a_row_with_text_and_fix() -> None:
    assert set(TABLE) == set(Code)
    assert all(row.message and row.fix and 400 <= row.status < 600 for row in TABLE.values())
    assert all(row.retryable for row in TABLE.values() if row.status in (429, 503))
    assert (known("bad_image"), known("no such code")) == (Code.BAD_IMAGE, Code.INTERNAL)


ICE = "a=ice-ufrag:u\r\na=ice-pwd:p\r\na=fingerprint:sha-256 00\r\n"


def section(kind: str = "video", direction: str = "sendrecv", mid: str = "0", port: int = 9, extra: str = "") -> str:
    return f"m={kind} {port} UDP/TLS/RTP/SAVPF 96\r\na=mid:{mid}\r\na={direction}\r\n{ICE}{extra}"


def offer(*sections: str) -> str:
    return "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n" + "".join(sections)


@pytest.mark.parametrize(
    ("sdp", "expected"),
    [
        (offer(section()), ("0", "0")),
        (offer(section(direction="sendonly")), ("0", None)),
        (
            offer(section(direction="recvonly"), section(direction="sendonly", mid="1")),
            ("1", "0"),
        ),
        (
            offer(section("audio"), section(direction="inactive", mid="1"), section(mid="2"), section(mid="3")),
            ("2", "2"),
        ),
        (
            offer(section(port=0, mid="a"), section(port=0, mid="b", extra="a=bundle-only\r\n")),
            ("b", "b"),
        ),
        (offer(section(direction="sendonly"), section(mid="1")), ("0", None)),
        (offer(section()).replace("\r\n", "\n"), ("0", "0")),
        (
            offer("a=sendonly\r\n", ICE, "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n"),
            ("0", None),
        ),
    ],
)
def test_offer_plan(sdp: str, expected: tuple[str, str | None]) -> None:
    planned = plan(sdp)
    assert (planned.input_mid, planned.output_mid) == expected
    _, *sections = re.split("^m=", planned.sdp, flags=re.MULTILINE)
    assert all(re.search("^a=(sendrecv|sendonly|recvonly|inactive)\r$", one, re.MULTILINE) for one in sections)


def candidates(count: int) -> str:
    return "a=candidate:1 1 udp 1 10.0.0.1 5 typ host\r\n" * count


@pytest.mark.parametrize(
    ("sdp", "code"),
    [
        ("", Code.BAD_SDP),
        ("hello", Code.BAD_SDP),
        ("v=0", Code.NO_VIDEO),
        (offer(section(direction="recvonly")), Code.NO_VIDEO),
        (offer(section("audio")), Code.NO_VIDEO),
        (offer(section("application")), Code.NO_VIDEO),
        (offer(section(port=0)), Code.NO_VIDEO),
        (offer(section(), section()), Code.BAD_SDP),
        (offer(section("carrier-pigeon")), Code.BAD_SDP),
        (offer("m=video\r\n"), Code.BAD_SDP),
        (offer(section().replace("a=ice-pwd:p\r\n", "")), Code.BAD_SDP),
        (offer(section().replace("a=ice-pwd:p", "a=ice-pwd:")), Code.BAD_SDP),
        (offer(section().replace("a=fingerprint:sha-256 00\r\n", "")), Code.BAD_SDP),
        (offer(section(), "nonsense\r\n"), Code.BAD_SDP),
        (offer(section(), "a=\x1b[31m\r\n"), Code.BAD_SDP),
        (offer(*(section(mid=str(n)) for n in range(5))), Code.BAD_SDP),
        (offer(section(extra=candidates(33))), Code.BAD_SDP),
        (offer(section(extra="a=ssrc:1 cname:x\r\n" * 65)), Code.BAD_SDP),
        (offer(section(extra="a=rtpmap:1 x/1\r\n" * 501)), Code.BAD_SDP),
        (offer(section(extra="a=fmtp:1 x\r\n" * 501)), Code.BAD_SDP),
        (offer(section(extra="a=rtcp-fb:* x\r\n" * 501)), Code.BAD_SDP),
        (offer(section(extra="a=x:" + "y" * 2045 + "\r\n")), Code.BAD_SDP),
        (offer(section(extra="a=x:y\r\n" * 10_000)), Code.TOO_LARGE),
    ],
)
def test_offers_that_cannot_be_used(sdp: str, code: Code) -> None:
    with pytest.raises(ClientError) as error:
        plan(sdp)
    assert error.value.code is code


def test_offer_limits_are_reached_without_complaint() -> None:
    extra = candidates(32) + "a=ssrc:1 cname:x\r\n" * 64 + "a=x:" + "y" * 2044 + "\r\n"
    assert plan(offer(section(extra=extra), *(section(mid=str(n)) for n in (1, 2, 3)))).input_mid == "0"


def test_the_codec_that_an_answer_settles_on() -> None:
    codecs = "a=rtpmap:97 rtx/90000\r\na=rtpmap:96 H264/90000\r\n"
    answer = offer(section("audio", mid="a"), section(mid="v", extra=codecs))
    assert (codec(answer, "v"), codec(answer, "a"), codec(answer, "x")) == ("H264", "", "")


@given(st.text(alphabet="avm=0 \r\n:video", max_size=200))
def test_no_text_upsets_the_guard(text: str) -> None:
    assert outcome(plan, "v=0\n" + text) in (OfferPlan, Code.BAD_SDP, Code.NO_VIDEO, Code.TOO_LARGE)


FLOWING = {"has_input": True, "ever_had_input": True}
SILENT = {"has_input": False, "ever_had_input": True}


@pytest.mark.parametrize(
    ("facts", "state", "reason"),
    [
        ({"worker_connected": True} | FLOWING, "running", None),
        ({"worker_connected": True, "ever_had_input": False, "has_input": False}, "running", None),
        ({"worker_connected": True} | SILENT, "no_input", "no_input"),
        ({"worker_ever_ready": False} | FLOWING, "loading", None),
        ({} | FLOWING, "passthrough", "worker_restarting"),
        ({"worker_failed": "no wheel"} | FLOWING, "degraded", "model_load_failed"),
        ({"worker_failed": "5 times", "worker_failure_code": "worker_restarting"}, "degraded", "worker_restarting"),
        ({"worker_connected": True, "worker_stalled": True} | FLOWING, "passthrough", "worker_stalled"),
        ({"worker_stalled": True} | FLOWING, "passthrough", "worker_stalled"),
        ({"refusal": "deadly"} | FLOWING, "passthrough", "apply_failed"),
        ({"worker_connected": True, "closed": True} | FLOWING, "closed", None),
        ({"worker_connected": True, "switching": "X"} | FLOWING, "running", None),
        ({"worker_connected": True, "switching": "X", "painted": False} | FLOWING, "loading", None),
        ({"worker_connected": True, "switching": "X"} | SILENT, "no_input", "no_input"),
        ({"switching": "X"} | FLOWING, "passthrough", "worker_restarting"),
        ({"worker_connected": True, "painted": False, "refusal": "odd"} | FLOWING, "passthrough", "apply_failed"),
        ({"place": 2} | FLOWING, "queued", None),
        ({"place": 2, "worker_failed": "no wheel"} | FLOWING, "degraded", "model_load_failed"),
        ({"worker_connected": True, "draining": True} | FLOWING, "draining", "draining"),
        ({"worker_failed": "odd", "draining": True} | FLOWING, "draining", "draining"),
        ({"draining": True, "closed": True, "close_reason": "draining"} | FLOWING, "closed", "draining"),
    ],
)
def test_state_follows_from_the_facts(facts: dict[str, Any], state: str, reason: str | None) -> None:
    base: dict[str, Any] = {"worker_connected": False, "worker_failed": None, "worker_ever_ready": True} | FLOWING
    progress = Loading("net", 1, 2, "files")
    condition = derive(Facts(**(base | {"progress": progress, "retry_in": 2.5} | facts)))
    assert (condition.state, condition.reason) == (state, reason)
    told = reason == "worker_restarting" or state == "loading" or "switching" in facts
    assert (condition.progress is progress) == told
    assert (condition.retry_in == 2.5) == (reason in ("model_load_failed", "worker_restarting"))


def test_a_worker_that_gives_nothing_is_told_before_what_it_loads() -> None:
    facts = Facts(True, None, True, None, True, True, switching="SD-Turbo")
    assert derive(replace(facts, worker_stalled=True)).reason == "worker_stalled"
    assert derive(replace(facts, worker_connected=False, refusal="deadly")).reason == "apply_failed"


def test_words_of_a_load() -> None:
    facts = Facts(True, None, True, Loading("download", 41, 100, "MB", 19.2), True, True, switching="SD-Turbo")
    loading = "Loading SD-Turbo: download, 41 %, about 20 s left."
    assert derive(facts).message == f"{loading} Your picture goes on as it is."
    assert derive(replace(facts, switching_mine=True)).message == f"{loading} The old model goes on painting."
    assert derive(replace(facts, painted=False)).message == f"{loading} You see your camera meanwhile."
    assert progress_words(Loading("start", 0, 0, "")) == ": start"
    assert progress_words(None) == ""
    assert derive(replace(facts, switching=None, load_failure="It failed.")).message == "It failed."


def hung_up(outcomes: list[Outcome]) -> list[Code]:
    return [outcome.code for outcome in outcomes if isinstance(outcome, HangUp)]


def test_violations_end_the_session_and_mistakes_never_do() -> None:
    protocol, too_large = ControlProtocol(), '"' + "x" * limits.JSON_BYTES + '"'
    mistakes = ("{", "[]", '{"type": "dance"}', '{"type": "settings", "data": {"steps": 99}}')
    for number in range(200):
        for text in mistakes:
            assert not hung_up(protocol.receive(text, number))
    for _ in range(limits.VIOLATIONS - 2):
        assert not hung_up(protocol.receive(too_large, 1000))
    assert not hung_up(protocol.receive_binary())
    assert hung_up(protocol.receive(too_large, 1000)) == [Code.TOO_LARGE]


def test_violations_above_the_rate_count_too() -> None:
    protocol = ControlProtocol()
    for _ in range(int(limits.MESSAGES_BURST)):
        protocol.receive('{"type": "get_status"}', 0.0)
    told = [hung_up(protocol.receive("x" * (limits.JSON_BYTES + 1), 0.0)) for _ in range(limits.VIOLATIONS)]
    assert told == [[]] * (limits.VIOLATIONS - 1) + [[Code.TOO_LARGE]]
