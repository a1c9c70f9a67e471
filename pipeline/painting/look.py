"""What a session's picture is to look like, as weights that can be interpolated, and the glide from one to the next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np

from pipeline.effects import apply_effect
from pipeline.frame import Pixels
from pipeline.prompts import EFFECTS

LEAST_OPACITY = 1 / 256  # under this an effect cannot be seen and is not computed


class Brush(NamedTuple):
    """A neural style or a classical effect; the variant of a style is always 0."""

    name: str
    variant: int = 0


@dataclass(frozen=True)
class Look:
    """`weights` sum to 1; those of styles may be negative (away from it). `neural` 0..1 is the share of the network's
    picture, against the camera's, in what the effects are laid over."""

    weights: Mapping[Brush, float]
    neural: float = 0.0

    @property
    def styles(self) -> dict[str, float]:
        return {brush.name: weight for brush, weight in self.weights.items() if brush.name not in EFFECTS}

    @property
    def effects(self) -> dict[Brush, float]:
        return {brush: weight for brush, weight in self.weights.items() if brush.name in EFFECTS}


def between(old: Look, new: Look, part: float) -> Look:
    """`old` at 0, `new` at 1."""
    if part >= 1:
        return new
    weights = {
        brush: (1 - part) * old.weights.get(brush, 0.0) + part * new.weights.get(brush, 0.0)
        for brush in {**old.weights, **new.weights}
    }
    return Look(weights, (1 - part) * old.neural + part * new.neural)


@dataclass
class Glide:
    """The look of the next frame while one look turns into another. A new target starts from where it stands."""

    now: Look
    _from: Look = field(init=False)
    _to: Look = field(init=False)
    _done: int = 0
    _length: int = 0

    def __post_init__(self) -> None:
        self._from = self._to = self.now

    @property
    def target(self) -> Look:
        return self._to

    @property
    def moving(self) -> bool:
        return self._done < self._length

    def turn_to(self, look: Look, frames: int) -> None:
        """Reach `look` with the `frames`-th frame from now, or with the next one if `frames` is 0."""
        self._from, self._to, self._done, self._length = self.now, look, 0, frames
        if not frames:
            self.now = look

    def advance(self) -> Look:
        """One frame on; the look to paint it with."""
        if self.moving:
            self._done += 1
            self.now = between(self._from, self._to, self._done / self._length)
        return self.now


def lay_effects(look: Look, base: Pixels, camera: Pixels) -> Pixels:
    """The effects of `look` over `base`, each as opaque as its share of what is beneath it and itself.

    Effects made of lines are drawn from the `camera` picture, for brush strokes would give lines too; over a neural
    picture they add light or ink to it instead of covering it.
    """
    covered = 1.0 - sum(look.effects.values())
    picture = base
    for brush, weight in sorted(look.effects.items()):
        covered += weight
        opacity = weight / covered if covered > weight else 1.0
        if opacity < LEAST_OPACITY:
            continue
        add = LINES.get(brush.name)
        painted = apply_effect(brush.name, camera if add else picture, brush.variant)
        if add and look.neural:
            painted = mixed(add(painted, picture), painted, look.neural)
            opacity = min(1.0, opacity * LINES_GAIN)
        picture = mixed(painted, picture, opacity)
    return picture


def _add_light(light: Pixels, picture: Pixels) -> Pixels:
    """As two projectors on one wall, the picture's turned down to half."""
    return np.asarray(cv2.addWeighted(picture, 0.5, light, 1.0, 0), np.uint8)


def _add_ink(drawing: Pixels, picture: Pixels) -> Pixels:
    return np.asarray(cv2.multiply(drawing, picture, scale=1 / 240), np.uint8)


LINES: Mapping[str, Callable[[Pixels, Pixels], Pixels]] = {"neon": _add_light, "ink": _add_ink, "pencil": _add_ink}
LINES_GAIN = 1.8  # lines leave most of the picture free, so they may be more opaque than their share


def mixed(over: Pixels, under: Pixels, opacity: float) -> Pixels:
    """`over` on `under`; an opacity above 1 goes on in the same direction."""
    if opacity == 1:
        return over
    return np.asarray(cv2.addWeighted(over, opacity, under, 1 - opacity, 0), np.uint8)
