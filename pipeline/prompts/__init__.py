"""What a prompt means to a painter without a text model: words in, a weighted mix of named targets out.

A target is a neural style or a classical effect, by name. The words are in the JSON files beside this one.
"""

from pipeline.prompts.resolver import HOLD_BELOW, Resolution, blend, resolve
from pipeline.prompts.vocabulary import EFFECTS, FIRST_LOOKS, SPICES, STYLES, EffectWords, Style, title

__all__ = [
    "EFFECTS",
    "FIRST_LOOKS",
    "HOLD_BELOW",
    "SPICES",
    "STYLES",
    "EffectWords",
    "Resolution",
    "Style",
    "blend",
    "resolve",
    "title",
]
