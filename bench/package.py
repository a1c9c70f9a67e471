"""StreamDiffusion as its package means it to be used, a PIL picture in and out: what the engine is compared with."""

from __future__ import annotations

from collections.abc import Callable

import torch
from diffusers import StableDiffusionPipeline
from PIL import Image
from streamdiffusion import StreamDiffusion

from pipeline.backends.diffusion.timesteps import SCHEDULE_STEPS, t_indices

STRENGTH = 0.8


def new_stream(pipe: StableDiffusionPipeline, steps: int, side: int) -> StreamDiffusion:
    """A stream of square pictures without guidance."""
    stream = StreamDiffusion(pipe, list(t_indices(STRENGTH, steps)), pipe.unet.dtype, side, side, cfg_type="none")
    stream.prepare("", "", SCHEDULE_STEPS, 1.0, generator=torch.Generator())
    return stream


def step(stream: StreamDiffusion, camera: Image.Image) -> Callable[[], Image.Image]:
    """Paints the middle square of `camera` each time it is called.

    On a GPU with the package's `__call__`; a CPU lacks the CUDA events in it, so there without them.
    """
    short = min(camera.size)
    left, top = (camera.width - short) // 2, (camera.height - short) // 2
    size = (stream.width, stream.height)

    def paint() -> Image.Image:
        square = camera.crop((left, top, left + short, top + short)).resize(size, Image.Resampling.BILINEAR)
        if torch.cuda.is_available():
            output = stream(square)
        else:
            tensor = stream.image_processor.preprocess(square, stream.height, stream.width)
            with torch.no_grad():
                latent = stream.encode_image(tensor.to(stream.device, stream.dtype))
                output = stream.decode_image(stream.predict_x0_batch(latent)).detach().clone()
        picture: Image.Image = stream.image_processor.postprocess(output, output_type="pil")[0]
        return picture

    return paint
