"""Settings messages, good and bad, in any order, against a model that knows only: all of a message, or nothing of it.

The real control protocol and the real applier answer; the worker is away, so that what is accepted is in force at once.
`test_fuzz.py` runs a few hundred messages, `python -m tests.fuzz.run --target settings` 20,000.
"""

from __future__ import annotations

import asyncio
import json
import unicodedata
from typing import Any, cast

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from pipeline.settings import MAX_TEXTS_BYTES, Settings
from pipeline.worker.client import WorkerClient
from tests.fuzz.targets import checked_reply
from webrtc_server.protocol.control import ControlProtocol, Reply
from webrtc_server.protocol.error_codes import ClientError
from webrtc_server.protocol.messages import ErrorData, SettingsMessage, encode
from webrtc_server.sessions.applier import Applier
from webrtc_server.sessions.painters import Painters

STEPS = 50  # messages of one conversation
PIPELINES = ("identity", "effects", "neural-style")

clean = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cf", "Zl", "Zp")), max_size=40)
texts = clean | st.sampled_from(["x" * 1000, "e\u0301" * 600, "\u0958" * 500, "語" * 1000])
bad_texts: st.SearchStrategy[Any] = st.sampled_from(
    ["x" * 1001, "\u0958" * 501, "\0", "a\nb", "\u202e", "\u2028", 5, None, [], {}]
)
bad_numbers: st.SearchStrategy[Any] = st.sampled_from([True, False, "1", None, [], {}, 10**400, -(10**400), 1e308])
fractions = st.floats(0, 1)
bad_fractions = bad_numbers | st.sampled_from([-0.001, 1.001, 2])
weights = st.floats(0.01, 10) | st.integers(1, 10)


def whole(low: int, high: int, step: int = 1) -> st.SearchStrategy[int | float]:
    numbers = st.integers(low // step, high // step).map(lambda n: n * step)
    return numbers | numbers.map(float)


GOOD: dict[str, st.SearchStrategy[Any]] = {
    "pipeline": st.sampled_from(PIPELINES),
    "prompt": texts,
    "prompts": st.none() | st.lists(st.fixed_dictionaries({"text": texts, "weight": weights}), min_size=1, max_size=4),
    "negative_prompt": texts,
    "denoising_strength": fractions,
    "guidance": st.floats(1, 10),
    "delta": fractions,
    "seed": whole(0, 2**32 - 1),
    "glide_frames": whole(0, 120),
    "steadiness": fractions,
    "similarity_threshold": fractions,
    "steps": whole(1, 4),
    "cfg_type": st.sampled_from(["none", "self", "full", "initialize"]),
    "width": whole(256, 1024, 64),
    "height": whole(256, 1024, 64),
    "fit": st.sampled_from(["crop", "letterbox", "stretch"]),
}
BAD: dict[str, st.SearchStrategy[Any]] = {
    "pipeline": st.sampled_from(["../identity", "diffusion", "", 1, None]),
    "prompt": bad_texts,
    "prompts": st.sampled_from(
        [[], [{}], [{"text": "a"}] * 5, [{"text": "a", "weight": 0}], [{"text": "a", "weight": 11}], [5], {}, "a", 0]
    ),
    "negative_prompt": bad_texts,
    "denoising_strength": bad_fractions,
    "guidance": bad_numbers | st.sampled_from([0.99, 10.01]),
    "delta": bad_fractions,
    "seed": bad_numbers | st.sampled_from([-1, 2**32, 0.5]),
    "glide_frames": bad_numbers | st.sampled_from([-1, 121]),
    "steadiness": bad_fractions,
    "similarity_threshold": bad_fractions,
    "steps": bad_numbers | st.sampled_from([0, 5, 1.5]),
    "cfg_type": st.sampled_from(["None", "", None, 0]),
    "width": bad_numbers | st.sampled_from([192, 1088, 300, 512.5]),
    "height": bad_numbers | st.sampled_from([255, 1025, 257]),
    "fit": st.sampled_from(["zoom", None, 1]),
    "nonsense": st.just(1),
    "x" * 200: st.none(),
}
assert GOOD.keys() == Settings.model_fields.keys()

fields = st.dictionaries(st.sampled_from(list(GOOD)), st.booleans(), max_size=5).flatmap(
    lambda names: st.fixed_dictionaries({name: st.tuples(st.just(True), GOOD[name]) for name in names})
)
bad_fields = st.sampled_from(list(BAD)).flatmap(
    lambda name: st.fixed_dictionaries({name: st.tuples(st.just(False), BAD[name])})
)
ids = st.none() | st.text(st.characters(codec="utf-8"), min_size=1, max_size=64)
junk = (
    st.text(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
        max_leaves=8,
    ).map(json.dumps)
    | st.sampled_from(
        ['{"type":"settings","data":[]}', '{"type":"settings","data":{},"x":1}', "[" * 9000, '{"type":1e999}']
    )
    | st.sampled_from(['{"type":"settings","data":{"seed":1,"seed":2}}', '{"type":"settings","data":{"seed":NaN}}'])
)


class _NoWorker:
    """Away: it takes nothing, and settings count at once."""

    def apply(self, version: int, settings: Settings) -> bool:
        return False


class _Names:
    available = PIPELINES


class SettingsMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.control = ControlProtocol()
        self.applier = Applier(cast(WorkerClient, _NoWorker()), cast(Painters, _Names()), Settings())
        self.model = Settings().model_dump(mode="json")
        self.version = 0
        self.now = 0.0
        self.loop = asyncio.new_event_loop()

    def teardown(self) -> None:
        self.loop.close()

    @rule(good=fields, bad=st.none() | bad_fields, message_id=ids)
    def change(self, good: dict[str, Any], bad: dict[str, Any] | None, message_id: str | None) -> None:
        entries = good | (bad or {})
        patch = {name: value for name, (_, value) in entries.items()}
        message = {"type": "settings", "data": patch} | ({"id": message_id} if message_id else {})
        reply = self.say(json.dumps(message))
        assert reply.get("id") == message_id
        wrong = {name for name, (fine, _) in entries.items() if not fine}
        after = self.expected(patch) if not wrong else None
        if patch.get("prompts") is not None and "prompt" in patch:
            wrong.add("prompts")
        elif after is not None and too_much_text(after):
            wrong.add("prompts")
        if wrong:
            assert (reply["type"], reply["data"]["code"]) == ("error", "invalid_settings")
            named = {problem["field"].partition(".")[0] for problem in reply["data"]["fields"]}
            assert {name[:100] for name in wrong} <= named
            return
        assert reply["type"] == "settings_applied"
        assert after is not None
        changed = {name for name in after if after[name] != self.model[name]}
        assert set(reply["data"]["changed"]) == changed
        self.model = after
        self.version += bool(changed)
        assert (reply["data"]["settings"], reply["data"]["version"]) == (self.model, self.version)

    @rule(text=junk)
    def disturb(self, text: str) -> None:
        assert self.say(text)["type"] == "error"

    @rule(number=st.floats(allow_nan=False, allow_infinity=False), message_id=ids)
    def ping(self, number: float, message_id: str | None) -> None:
        message = {"type": "ping", "data": {"t": number}} | ({"id": message_id} if message_id else {})
        reply = self.say(json.dumps(message))
        assert (reply["type"], reply["data"]["t"], reply.get("id")) == ("pong", number, message_id)

    @invariant()
    def state_is_the_models(self) -> None:
        assert self.applier.settings.model_dump(mode="json") == self.model
        assert self.applier.version == self.version

    def say(self, text: str) -> dict[str, Any]:
        """The one answer, as it would be sent."""
        self.now += 1
        (outcome,) = self.control.receive(text, self.now)
        if isinstance(outcome, Reply):
            return checked_reply(encode(outcome.data, outcome.id))
        assert isinstance(outcome, SettingsMessage)
        try:
            answer = self.loop.run_until_complete(self.applier.apply(outcome.data, lambda: None))
        except ClientError as error:
            return checked_reply(encode(ErrorData.of(error), outcome.id))
        return checked_reply(encode(answer, outcome.id))

    def expected(self, patch: dict[str, Any]) -> dict[str, Any]:
        after = self.model | ({"prompts": None} if "prompt" in patch else {}) | patch
        for name in ("prompt", "negative_prompt"):
            after[name] = unicodedata.normalize("NFC", after[name])
        if after["prompts"]:
            after["prompts"] = [
                {"text": unicodedata.normalize("NFC", one["text"]), "weight": one["weight"]} for one in after["prompts"]
            ]
        return after


def too_much_text(values: dict[str, Any]) -> bool:
    texts = [values["prompt"], values["negative_prompt"], *(one["text"] for one in values["prompts"] or ())]
    return sum(len(text.encode()) for text in texts) > MAX_TEXTS_BYTES


def run_machine(messages: int) -> None:
    """That many messages, in conversations of STEPS. Raises what the first broken promise raises, with its story."""
    run_state_machine_as_test(
        SettingsMachine,
        settings=settings(
            max_examples=max(1, messages // STEPS),
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
