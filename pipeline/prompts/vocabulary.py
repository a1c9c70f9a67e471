"""The words the resolver knows, read from the JSON files beside this one and brought to the form it matches by.

styles.json and effects.json name the targets and their keywords (strong evidence); words.json has moods and colours
(weak evidence), aliases written out before matching, and the words that negate.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

LONGEST_TEXT = 2000  # characters looked at after compatibility forms are written out
MOST_TOKENS = 400  # a bound on the time for text that is all emoji or punctuation
_SPLIT = re.compile(r"[^\W_]+|[,.;:!?、。]")
_ENDINGS = ("ings", "ing", "ers", "ed", "es", "s")


@dataclass(frozen=True)
class Style:
    """A neural style: its number in the network's table, styles that look alike, and the effect nearest to it."""

    index: int
    name: str
    keywords: tuple[str, ...]
    near: tuple[str, ...]
    effect: str


@dataclass(frozen=True)
class EffectWords:
    name: str
    title: str
    keywords: tuple[str, ...]


def _read(file: str) -> Any:  # noqa: ANN401 - JSON is what it is; the constants below give it its types
    return json.loads(resources.files(__package__).joinpath(file).read_text(encoding="utf-8"))


def _plain(text: str) -> str:
    """Lower case without accents, in compatibility forms."""
    decomposed = unicodedata.normalize("NFKD", text.lower())[:LONGEST_TEXT]
    return "".join(character for character in decomposed if unicodedata.category(character) != "Mn")


def _stem(word: str) -> str:
    """Crude on purpose: both the data and the prompt go through it, so it only has to be the same for both."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word.removesuffix(ending)
    return word.removesuffix("e") if len(word) > 4 else word


_WORDS = _read("words.json")
STYLES: Mapping[str, Style] = {
    entry["name"]: Style(entry["index"], entry["name"], tuple(entry["keywords"]), tuple(entry["near"]), entry["effect"])
    for entry in _read("styles.json")
}
EFFECTS: Mapping[str, EffectWords] = {
    entry["name"]: EffectWords(entry["name"], entry["title"], tuple(entry["keywords"]))
    for entry in _read("effects.json")
}
FIRST_LOOKS: tuple[str, ...] = tuple(_WORDS["first_looks"])  # styles that keep a face readable
SPICES: tuple[str, ...] = tuple(_WORDS["spices"])  # soft styles, which go with any other
_ALIASES = {_plain(alias): f" {meaning} " for alias, meaning in _WORDS["aliases"].items()}
_ANY_ALIAS = re.compile("|".join(map(re.escape, sorted(_ALIASES, key=len, reverse=True))))


def tokens(text: str) -> list[str]:
    """Stems and punctuation marks, in order, aliases written out."""
    written_out = _ANY_ALIAS.sub(lambda match: _ALIASES[match.group()], _plain(text))
    return [_stem(token) for token in _SPLIT.findall(written_out)[:MOST_TOKENS]]


def title(target: str) -> str:
    """What the user is told a target is called."""
    return EFFECTS[target].title if target in EFFECTS else target


def _lexicon() -> dict[tuple[str, ...], dict[str, float]]:
    """Phrase -> {target: share}; a phrase that several targets claim is shared between them."""
    claims: dict[tuple[str, ...], list[str]] = {}
    named = [(style.name, (style.name, *style.keywords)) for style in STYLES.values()]
    named += [(effect.name, effect.keywords) for effect in EFFECTS.values()]
    for target, keywords in named:
        for phrase in {tuple(tokens(keyword)) for keyword in keywords}:
            claims.setdefault(phrase, []).append(target)
    return {phrase: {target: 1 / len(targets) for target in targets} for phrase, targets in claims.items()}


LEXICON: Mapping[tuple[str, ...], Mapping[str, float]] = _lexicon()
LONGEST_PHRASE = max(map(len, LEXICON))
FIRST_WORDS = frozenset(phrase[0] for phrase in LEXICON)
MOODS: Mapping[str, Mapping[str, float]] = {
    _stem(word): group["mix"] for group in _WORDS["moods"] for word in group["words"].split()
}
NEGATORS = frozenset(_stem(word) for word in _WORDS["negators"])
NEGATION_ENDS = frozenset(_stem(word) for word in _WORDS["negation_ends"])
