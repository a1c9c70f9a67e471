"""Pictures and settings that the tests of the painters share, and the golden pictures.

    python -m tests.pipeline.samples

paints the golden pictures anew; look at them before committing.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np
import skimage.data
from PIL import Image

from pipeline.backends.style import NeuralStyle
from pipeline.effects import EFFECTS, apply_effect
from pipeline.errors import PipelineError
from pipeline.frame import Frame, Pixels
from pipeline.offline import paint
from pipeline.settings import Settings

GOLDEN = Path(__file__).with_name("golden")
GOLDEN_SIDE = 128  # pixels; results are brought to this size before they are compared
STYLE_PROMPTS = {
    "starry-night": "starry night by van gogh",
    "woodblock": "hokusai",
    "fauvist": "derain",
    "cubist": "picasso",
    "neon-on-starry-night": "van gogh, neon",
}


@cache
def astronaut(width: int = 256, height: int = 256) -> Pixels:
    """Eileen Collins, by NASA (public domain), head and shoulders; (height, width, 3) uint8, not to be written to."""
    photograph = skimage.data.astronaut()[0:300, 74:374]
    picture = np.asarray(cv2.resize(photograph, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    picture.flags.writeable = False
    return picture


def small_settings(**values: object) -> Settings:
    """Settings with the smallest result, in full strength and without smoothing, where not told otherwise."""
    return Settings.model_validate(
        {"width": 256, "height": 256, "denoising_strength": 1.0, "steadiness": 0.0, "glide_frames": 0} | values
    )


def loaded_style() -> NeuralStyle:
    """On one thread and with one size of network: what it paints does not depend on the machine's speed."""
    backend = NeuralStyle(threads=1, sizes=(256,))
    backend.load(lambda progress: None)
    return backend


def picture_of(answer: Frame | PipelineError) -> Pixels:
    assert isinstance(answer, Frame), answer
    return answer.rgb()


def distance(one: Pixels, other: Pixels) -> float:
    """Mean difference in levels, 0 to 255."""
    return float(cv2.absdiff(one, other).mean())


def for_golden(picture: Pixels) -> Pixels:
    return np.asarray(cv2.resize(picture, (GOLDEN_SIDE, GOLDEN_SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def golden(name: str) -> Pixels:
    with Image.open(GOLDEN / f"{name}.png") as image:
        return np.asarray(image.convert("RGB"))


def main() -> None:
    """Write all golden pictures."""
    pictures = {name: apply_effect(name, astronaut()) for name in EFFECTS}
    backend, frame = loaded_style(), Frame.from_rgb(astronaut())
    for name, prompt in STYLE_PROMPTS.items():
        (painted,) = paint(backend, [frame], small_settings(prompt=prompt))
        pictures[name] = painted.rgb()
    for name, picture in pictures.items():
        Image.fromarray(for_golden(picture)).save(GOLDEN / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
