"""Ten classical effects by name: plain array maths, no state, no weights.

An effect takes an (H, W, 3) uint8 RGB picture of any size from 16x16 and a variant, 0 to VARIANTS - 1, that chooses
among near-equal looks (grain, screen angle, palette). It gives a new picture of the same size.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from cv2.typing import MatLike

from pipeline.effects.line import ink, neon, pencil
from pipeline.effects.mirror import kaleidoscope
from pipeline.effects.paint import cartoon, oil, watercolor
from pipeline.effects.print import gradient_map, halftone, pixel
from pipeline.frame import Pixels

EFFECTS: dict[str, Callable[[MatLike, int], MatLike]] = {
    effect.__name__: effect
    for effect in (ink, pencil, neon, halftone, pixel, watercolor, oil, kaleidoscope, cartoon, gradient_map)
}
VARIANTS = 12  # bounds the cached patterns; a multiple of the three palettes


def apply_effect(name: str, picture: Pixels, variant: int = 2) -> Pixels:
    """The effect `name` of `picture`. Raises KeyError for an unknown name."""
    return np.asarray(EFFECTS[name](picture, variant), np.uint8)
