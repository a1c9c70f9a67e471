"""Words to looks: the table of examples, and what holds for any text at all."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.effects import EFFECTS as EFFECT_FUNCTIONS
from pipeline.prompts import EFFECTS, FIRST_LOOKS, SPICES, STYLES, Resolution, blend, resolve
from pipeline.prompts.vocabulary import LEXICON, MOODS, title
from pipeline.settings import MAX_PROMPT

ANY_TEXT = st.text(max_size=MAX_PROMPT)
WORDY = st.lists(st.sampled_from([" ".join(phrase) for phrase in LEXICON] + list(MOODS) + ["no", "but", ",", "cat"]))


EXAMPLES = [
    ("starry night by van gogh", "Starry night"),
    ("Vincent VAN-GOGH!!!", "Starry night"),
    ("rembrandt, dark", "Warm old master"),
    ("cyberpunk city at night", "neon"),
    ("black and white pencil sketch", "pencil"),
    ("charcoal drawings", "pencil"),
    ("watercolor painting of a woman", "watercolor"),
    ("8-bit nintendo character", "pixel"),
    ("demon in hell", "Crimson inferno"),
    ("frozen ice queen", "Frost"),
    ("stained glass church window", "Stained glass"),
    ("japanese woodblock print, great wave", "Japanese woodblock"),
    ("oil painting by monet", "Impressionist haze"),
    ("anime girl, pink hair", "cartoon"),
    ("picasso cubism", "Cubist slate"),
    ("psychedelic mandala", "Abstract primaries"),
    ("old newspaper photo", "halftone"),
    ("sad rainy evening", "Misty gouache"),
    ("green forest in autumn", "Olive linocut"),
    ("film noir detective", "Misty gouache"),
    ("Dürer", "Antique engraving"),
    ("🔥🔥", "Crimson inferno"),
    ("浮世絵の猫", "Japanese woodblock"),
    ("ネオン", "neon"),
    ("nuit étoilée", "Starry night"),
]
STYLELESS = ["", "a cat", "!!!", "an astronaut riding a horse, photorealistic, 4k", "ﷺ", "\u0301"]


def test_examples() -> None:
    for prompt, first in EXAMPLES:
        resolution = resolve(prompt)
        assert resolution.understood, prompt
        assert resolution.mix.get(first) == max(resolution.mix.values()), prompt


def test_prompts_without_a_style_hold_the_look() -> None:
    for prompt in STYLELESS:
        assert not resolve(prompt).understood, prompt


def test_negation_inside_the_prompt_ends_at_a_stop() -> None:
    both = resolve("no cartoon, van gogh")
    assert set(both.mix) == {"Starry night"}
    assert set(both.avoid) == {"cartoon"}
    assert set(resolve("without neon but with ink").mix) == {"ink"}


def test_the_negative_prompt_subtracts() -> None:
    assert set(resolve("pop art").mix) == {"Bold yellow contour", "Pastel cut-out"}
    less = resolve("pop art", "yellow")
    assert set(less.mix) == {"Pastel cut-out"}
    assert less.avoid["Bold yellow contour"] > 0


def test_a_mood_scores_less_than_a_name() -> None:
    assert 0.25 <= resolve("happy").score <= 0.6 < resolve("matisse").score == 1


@given(ANY_TEXT | WORDY.map(" ".join), ANY_TEXT)
@settings(max_examples=200, deadline=None)
def test_any_text_gives_a_sound_resolution(prompt: str, negative: str) -> None:
    resolution = resolve(prompt, negative)
    assert resolution == resolve(prompt, negative), "deterministic"
    assert 0 <= resolution.score <= 1
    assert not resolution.mix or sum(resolution.mix.values()) == pytest.approx(1)
    assert all(weight > 0 for weight in resolution.mix.values())
    assert all(0 < weight <= 1 for weight in resolution.avoid.values())
    assert set(resolution.mix) | set(resolution.avoid) <= set(STYLES) | set(EFFECTS)


def test_a_full_prompt_is_resolved_in_five_milliseconds() -> None:
    def seconds(text: str) -> float:
        started = time.thread_time()
        resolve(text[:MAX_PROMPT])
        return time.thread_time() - started

    for text in ("starry " * 142, "é," * 500, "ﷺ" * 1000, "🔥" * 1000, "no " * 333, "a" * 1000):
        assert min(seconds(text) for _ in range(5)) < 0.005, text[:10]


def test_blend_weighs_prompts_and_lets_empty_ones_lower_the_score() -> None:
    mixed = blend([(resolve("hokusai"), 3.0), (resolve("neon"), 1.0)])
    assert mixed.mix == pytest.approx({"Japanese woodblock": 0.75, "neon": 0.25})
    half = blend([(resolve("hokusai"), 1.0), (resolve("a cat"), 1.0)])
    assert half.mix == {"Japanese woodblock": 1.0}
    assert half.score == pytest.approx(0.5)
    assert blend([(resolve("hokusai"), 0.0), (resolve("ink"), 1.0)]).mix == {"ink": 1.0}
    assert blend([]) == Resolution()


def test_the_data_is_whole() -> None:
    assert sorted(style.index for style in STYLES.values()) == list(range(26))
    assert set(EFFECTS) == set(EFFECT_FUNCTIONS)
    targets = set(STYLES) | set(EFFECTS)
    for mood, mix in MOODS.items():
        assert set(mix) <= targets, mood
        assert sum(mix.values()) == pytest.approx(1), mood
    for style in STYLES.values():
        assert style.effect in EFFECTS
        assert set(style.near) <= set(STYLES) - {style.name}
        assert resolve(style.name).mix.get(style.name, 0) >= 0.5, "a style is found by its name"
    for name in EFFECTS:
        assert resolve(title(name)).mix.get(name, 0) >= 0.5
    assert set(FIRST_LOOKS) | set(SPICES) <= set(STYLES)
