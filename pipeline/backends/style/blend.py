"""A mix of styles as the params of the network, and the mix made stronger."""

from __future__ import annotations

from collections.abc import Mapping
from math import log

import numpy as np

from pipeline.backends.style.graph import Floats
from pipeline.frame import Pixels
from pipeline.painting.look import mixed
from pipeline.prompts import STYLES

EXAGGERATION = 0.25  # added to the gain for each factor e of guidance; 7.5 makes the distance half as long again


def style_params(table: Floats, weights: Mapping[str, float]) -> Floats:
    """(26, 2, 495) and weights by style name -> (2, 495). The weights are brought to sum 1; some may be negative.

    Raises ValueError if their sum is not positive.
    """
    total = sum(weights.values())
    if total <= 0:
        raise ValueError("the weights of the styles have no positive sum")
    vector = np.zeros(len(table), np.float32)
    for name, weight in weights.items():
        vector[STYLES[name].index] = weight / total
    return np.asarray(np.tensordot(vector, table, 1), np.float32)


def exaggerate(painted: Pixels, plain: Pixels, guidance: float) -> Pixels:
    """On from the plain picture through the painted one; 1 is neutral. Pictures are (H, W, 3) uint8."""
    return mixed(painted, plain, 1 + EXAGGERATION * log(guidance))
