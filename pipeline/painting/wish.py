"""From settings to the look they ask for. Each painter says what it can paint by giving its own translation."""

from __future__ import annotations

import random
from collections.abc import Mapping

from pipeline.effects import VARIANTS
from pipeline.painting.look import Brush, Look
from pipeline.prompts import EFFECTS, FIRST_LOOKS, SPICES, STYLES, Resolution, blend, resolve, title
from pipeline.settings import Settings

RESOLVED_FROM = frozenset({"prompt", "prompts", "negative_prompt"})
LOOK_FROM = RESOLVED_FROM | {"seed"}
MOST_EFFECTS = 2  # each costs as much as a good part of the network
AVOID = 0.35  # how far a style is pushed away from one to avoid, as a share of the distance between them
NEAR_SHARE = 0.5  # the most of a near-equal style that a seed mixes in
SPICE_SHARE = 0.25  # the most of a soft style that a seed adds


def wanted(settings: Settings) -> Resolution:
    """What the prompts ask for, together."""
    return blend((resolve(p.text, settings.negative_prompt), p.weight) for p in settings.weighted_prompts)


def first(seed: int) -> Resolution:
    """What to paint when the first prompt says nothing of a style."""
    return Resolution({FIRST_LOOKS[seed % len(FIRST_LOOKS)]: 1.0})


def effects_only(resolution: Resolution) -> Resolution:
    """The same wish in classical effects: a neural style becomes the effect nearest to it."""
    mix: dict[str, float] = {}
    for target, weight in resolution.mix.items():
        effect = STYLES[target].effect if target in STYLES else target
        mix[effect] = mix.get(effect, 0.0) + weight
    return Resolution(mix, {}, resolution.score)


def look(resolution: Resolution, seed: int) -> Look:
    """The weights to paint with. The seed chooses among looks that are nearly equal; same seed, same look."""
    effects = {target: weight for target, weight in resolution.mix.items() if target in EFFECTS}
    strongest = sorted(effects, key=lambda name: (-effects[name], name))[:MOST_EFFECTS]
    styles = {target: weight for target, weight in resolution.mix.items() if target in STYLES}
    whole = sum(styles.values()) + sum(effects[name] for name in strongest)
    weights = {Brush(name, seed % VARIANTS): effects[name] / whole for name in strongest}
    share = sum(styles.values()) / whole
    if styles:
        varied = _varied(_pushed(styles, resolution.avoid), seed)
        total = sum(varied.values())
        weights |= {Brush(name): share * weight / total for name, weight in varied.items()}
    return Look(weights, 1.0 if styles else 0.0)


def words(resolution: Resolution) -> str:
    """The mix for the user: "62 % Starry night, 38 % neon"."""
    parts = sorted(resolution.mix.items(), key=lambda part: (-part[1], part[0]))
    return ", ".join(f"{round(100 * weight)} % {title(target)}" for target, weight in parts)


def _pushed(styles: Mapping[str, float], avoid: Mapping[str, float]) -> dict[str, float]:
    """Away from the styles to avoid; the sum stays."""
    against = {name: weight for name, weight in avoid.items() if name in STYLES}
    if not against:
        return dict(styles)
    total, force = sum(styles.values()), AVOID * min(1.0, sum(against.values()))
    pushed = {name: (1 + force) * weight for name, weight in styles.items()}
    for name, weight in against.items():
        pushed[name] = pushed.get(name, 0.0) - force * total * weight / sum(against.values())
    return pushed


def _varied(styles: Mapping[str, float], seed: int) -> dict[str, float]:
    """A share of each style goes to its near-equal, and a share of them all to a soft style."""
    chance = random.Random(seed)
    near_share, spice, spice_share = NEAR_SHARE * chance.random(), chance.choice(SPICES), SPICE_SHARE * chance.random()
    varied = dict(styles)
    for name, weight in styles.items():
        for near in STYLES[name].near:
            varied[name] -= near_share * weight
            varied[near] = varied.get(near, 0.0) + near_share * weight
    total = sum(varied.values())
    varied = {name: (1 - spice_share) * weight for name, weight in varied.items()}
    varied[spice] = varied.get(spice, 0.0) + spice_share * total
    return varied
