"""Prompt text -> a mix of styles and effects. Deterministic, no model, never raises, under 5 ms for a full prompt.

Longest known phrases first; where no phrase is known, moods and colours count a little. The negative prompt, and the
words after "no", "not", "without" or "less" up to the next stop, count with the opposite sign.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.prompts.vocabulary import FIRST_WORDS, LEXICON, LONGEST_PHRASE, MOODS, NEGATION_ENDS, NEGATORS, tokens

HOLD_BELOW = 0.25  # score under which a painter keeps the look it has
MOOD_STRENGTH = 0.4  # what a mood word counts beside a phrase of the lexicon, which counts 1
MOOD_SCORE = 0.6  # the highest score of a prompt that names no medium, artist or style
LONGER_PHRASE = 0.25  # added strength for each word of a phrase after the first
MOST_TARGETS = 3  # more make mud
LEAST_SHARE = 0.25  # of the strongest target, under which a target is left out


@dataclass(frozen=True)
class Resolution:
    """`mix` sums to 1, or is empty if nothing was understood; `avoid` (0 to 1 each) is what to keep away from.

    `score`, 0 to 1, says how much of the mix was asked for by name.
    """

    mix: Mapping[str, float] = field(default_factory=dict)
    avoid: Mapping[str, float] = field(default_factory=dict)
    score: float = 0.0

    @property
    def understood(self) -> bool:
        return self.score >= HOLD_BELOW


class _Hit(NamedTuple):
    targets: Mapping[str, float]
    strength: float  # signed
    by_name: bool


def resolve(prompt: str, negative: str = "") -> Resolution:
    """What `prompt` asks for, less what `negative` asks against. Any text at all is fine."""
    hits = list(_hits(tokens(prompt)))
    hits += [_Hit(hit.targets, -abs(hit.strength), hit.by_name) for hit in _hits(tokens(negative))]
    totals: dict[str, float] = {}
    for hit in hits:
        for target, share in hit.targets.items():
            totals[target] = totals.get(target, 0.0) + hit.strength * share
    avoid = {target: min(1.0, -total) for target, total in totals.items() if total < 0}
    wanted = sorted(((target, total) for target, total in totals.items() if total > 1e-9), key=lambda p: (-p[1], p[0]))
    kept = [(target, total) for target, total in wanted[:MOST_TARGETS] if total >= LEAST_SHARE * wanted[0][1]]
    whole = sum(total for _, total in kept)
    ceiling = 1.0 if any(hit.by_name and hit.strength > 0 for hit in hits) else MOOD_SCORE
    return Resolution({target: total / whole for target, total in kept}, avoid, min(ceiling, whole))


def blend(parts: Iterable[tuple[Resolution, float]]) -> Resolution:
    """Several resolutions in one, each with its weight (0 or more); an empty one lowers the score."""
    weighted = [(part, weight) for part, weight in parts if weight > 0]
    whole = sum(weight for _, weight in weighted)
    mixed = sum(weight for part, weight in weighted if part.mix)
    if not mixed:
        return Resolution(avoid=_joined((part.avoid, weight / whole) for part, weight in weighted))
    return Resolution(
        _joined((part.mix, weight / mixed) for part, weight in weighted if part.mix),
        _joined((part.avoid, weight / whole) for part, weight in weighted),
        sum(part.score * (weight / whole) for part, weight in weighted),
    )


def _joined(parts: Iterable[tuple[Mapping[str, float], float]]) -> dict[str, float]:
    joined: dict[str, float] = {}
    for values, weight in parts:
        for target, value in values.items():
            joined[target] = joined.get(target, 0.0) + value * weight
    return joined


def _hits(words: list[str]) -> Iterator[_Hit]:
    sign, at = 1.0, 0
    while at < len(words):
        phrase = _phrase_at(words, at)
        if phrase:
            yield _Hit(LEXICON[phrase], sign * (1 + LONGER_PHRASE * (len(phrase) - 1)), True)
            at += len(phrase)
            continue
        word = words[at]
        if word in NEGATORS:
            sign = -1.0
        elif word in NEGATION_ENDS or not word[0].isalnum():
            sign = 1.0
        elif word in MOODS:
            yield _Hit(MOODS[word], sign * MOOD_STRENGTH, False)
        at += 1


def _phrase_at(words: list[str], at: int) -> tuple[str, ...] | None:
    if words[at] not in FIRST_WORDS:
        return None
    for length in range(min(LONGEST_PHRASE, len(words) - at), 0, -1):
        phrase = tuple(words[at : at + length])
        if phrase in LEXICON:
            return phrase
    return None
