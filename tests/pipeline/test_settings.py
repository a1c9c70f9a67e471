"""Settings messages: whole or not at all, every bad field named, the model's own words kept."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.settings import Change, InvalidSettings, Problem, Settings, applies, merge

PIPELINES = ("identity", "effects")
BASE = Settings()

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=6,
)
patches = st.dictionaries(st.sampled_from(list(Settings.model_fields)) | st.text(max_size=8), json_values, max_size=5)


@pytest.mark.parametrize(
    ("patch", "fields"),
    [
        ({"steps": 0}, {"steps"}),
        ({"steps": 5}, {"steps"}),
        ({"steps": True}, {"steps"}),
        ({"steps": "1"}, {"steps"}),
        ({"steps": 1.5}, {"steps"}),
        ({"denoising_strength": 1.01}, {"denoising_strength"}),
        ({"denoising_strength": None}, {"denoising_strength"}),
        ({"guidance": float("nan")}, {"guidance"}),
        ({"width": 300, "height": 2048}, {"width", "height"}),
        ({"height": 264}, {"height"}),
        ({"seed": 2**32}, {"seed"}),
        ({"prompt": "a", "prompts": [{"text": "b"}], "steps": 0}, {"prompts", "steps"}),
        ({"prompt": "x" * 1001}, {"prompt"}),
        ({"prompt": "two\nlines"}, {"prompt"}),
        ({"prompt": "two\u2028lines"}, {"prompt"}),
        ({"prompt": "evil \u202e txet"}, {"prompt"}),
        ({"negative_prompt": "\u2066"}, {"negative_prompt"}),
        ({"prompt": "\u0958" * 501}, {"prompt"}),  # each becomes two when composed
        ({"prompts": [{"text": "\x1b[31m"}]}, {"prompts.0.text"}),
        ({"seed": 10**400}, {"seed"}),
        ({"denoising_strength": 10**400}, {"denoising_strength"}),
        ({"guidance": True}, {"guidance"}),
        ({"prompt": "\ud800"}, {"prompt"}),
        ({"pipeline": "../diffusion"}, {"pipeline"}),
        ({"fit": "zoom", "nonsense": 1}, {"fit", "nonsense"}),
        ({"prompts": []}, {"prompts"}),
        ({"prompts": [{"text": "a"}] * 5}, {"prompts"}),
        ({"prompts": [{"text": "a", "weight": 0}]}, {"prompts"}),
        ({"prompts": [{}] * 20_000}, {"prompts"}),
        ({"prompts": [{"text": "a", "weight": 11}]}, {"prompts.0.weight"}),
        ({"prompt": "a", "prompts": [{"text": "b"}]}, {"prompts"}),
        ({"prompts": [{"text": "語" * 1000}] * 4, "negative_prompt": "語" * 100}, {"prompts"}),
    ],
)
def test_every_bad_field_is_named(patch: dict[str, Any], fields: set[str]) -> None:
    with pytest.raises(InvalidSettings) as refused:
        merge(BASE, patch, PIPELINES)
    assert {problem.field for problem in refused.value.problems} >= fields


@pytest.mark.parametrize(
    ("patch", "changed"),
    [
        ({}, ()),
        ({"steps": 2.0}, ("steps",)),
        ({"glide_frames": 0}, ("glide_frames",)),
        ({"steps": BASE.steps}, ()),
        ({"denoising_strength": 1}, ("denoising_strength",)),
        ({"prompt": "x" * 1000, "width": 1024}, ("prompt", "width")),
        ({"prompt": "e\u0301" * 600}, ("prompt",)),  # 1200 characters, 600 once composed
        ({"prompt": "\u0958" * 500}, ("prompt",)),
        ({"prompt": "\U0001f469\u200d\U0001f3a8 a\u200cb \u200e"}, ("prompt",)),  # joiners, and a mark of direction
        ({"denoising_strength": -0.0}, ("denoising_strength",)),
        ({"prompts": [{"text": "a"}] * 4}, ("prompts",)),
        ({"prompts": [{"text": "a", "weight": 2}, {"text": "b"}]}, ("prompts",)),
        ({"pipeline": "effects"}, ("pipeline",)),
    ],
)
def test_what_changes_is_said(patch: dict[str, Any], changed: tuple[str, ...]) -> None:
    assert merge(BASE, patch, PIPELINES).changed == changed


def test_prompt_ends_prompts_and_prompts_stand_in_for_prompt() -> None:
    blended = merge(BASE, {"prompts": [{"text": "a"}, {"text": "b", "weight": 3}]}).settings
    assert [prompt.text for prompt in blended.weighted_prompts] == ["a", "b"]
    plain = merge(blended, {"prompt": "c"}).settings
    assert plain.prompts is None
    assert [(prompt.text, prompt.weight) for prompt in plain.weighted_prompts] == [("c", 1.0)]
    assert merge(blended, {"prompt": "d", "prompts": None}).settings.prompts is None


def test_text_is_composed_and_not_trimmed() -> None:
    assert merge(BASE, {"prompt": " e\u0301 "}).settings.prompt == " é "


def attempt(patch: dict[str, Any]) -> Change | InvalidSettings:
    try:
        return merge(BASE, patch, PIPELINES)
    except InvalidSettings as refused:
        return refused


@given(patches)
def test_whatever_comes_the_result_is_valid_or_refused(patch: dict[str, Any]) -> None:
    change = attempt(patch)
    if isinstance(change, InvalidSettings):
        assert change.problems
    else:
        again = merge(change.settings, patch, PIPELINES)
        assert again.changed == ()
        assert Settings.model_validate_json(change.settings.model_dump_json()) == change.settings


def test_schema_tells_the_page_everything() -> None:
    schema = json.loads(json.dumps(Settings.model_json_schema()))
    for name, field in schema["properties"].items():
        assert {"title", "description", "default", "group", "widget", "apply", "unit"} <= field.keys(), name
        assert field["apply"] == applies(name)
    assert merge(BASE, {"steps": 2, "seed": 3}).rebuilds == ("steps",)


@pytest.mark.parametrize(
    "patch",
    [
        {"prompt": "\u0300" * 15_000 + "\u0316" * 15_000},  # composing sorts these, in quadratic time
        {"prompts": [{}] * 20_000},
    ],
)
def test_no_message_holds_the_event_loop(patch: dict[str, Any]) -> None:
    begun = time.process_time()
    with pytest.raises(InvalidSettings):
        merge(BASE, patch)
    assert time.process_time() - begun < 0.02


def test_unknown_settings_are_named_up_to_a_point() -> None:
    with pytest.raises(InvalidSettings) as refused:
        merge(BASE, {"x" * 200: 1} | {f"unknown {n}": n for n in range(5000)})
    assert len(refused.value.problems) == 30
    assert refused.value.problems[0] == Problem("x" * 100, "there is no such setting")
