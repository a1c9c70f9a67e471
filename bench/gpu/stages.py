"""What each part of one session's frame takes."""

from __future__ import annotations

import torch

from bench.gpu.clock import median_ms
from bench.gpu.flops import TOKENS
from bench.gpu.rig import Figures, Rig
from pipeline import geometry
from pipeline.backends.diffusion import colour
from pipeline.backends.diffusion.live import Rows
from pipeline.frame import PixelFormat


@torch.no_grad()
def stages(rig: Rig) -> Figures:
    """`colour_in` and `colour_out` have the way over the bus in them, which `upload` and `download` are alone."""
    model, device, side = rig.engine._model, rig.device, rig.scale.side
    dtype = model.pipe.unet.dtype
    (camera, *_) = rig.cameras(PixelFormat.I420)
    data = torch.from_numpy(camera.data)
    placement = geometry.place((camera.width, camera.height), (side, side), "crop")
    picture = colour.place(colour.upload(camera, device), placement, side, side)
    latents = model.encode(picture)
    embeds = torch.randn((1, TOKENS, model.pipe.unet.config.cross_attention_dim), device=device, dtype=dtype)
    rows = Rows(latents, torch.tensor([399], device=device), embeds)
    painted = model.decode(latents)
    answer = torch.zeros(side * side * 3 // 2, dtype=torch.uint8, device=device)
    work = {
        "upload_ms": lambda: data.to(device, copy=True),
        "colour_in_ms": lambda: colour.place(colour.upload(camera, device), placement, side, side),
        "encode_ms": lambda: model.encode(picture),
        "unet_ms": lambda: model.predict(rows),
        "decode_ms": lambda: model.decode(latents),
        "colour_out_ms": lambda: colour.download([(painted, PixelFormat.I420)]),
        "download_ms": lambda: answer.to("cpu", copy=True),
    }
    return {name: median_ms(device, once, rig.scale.rounds) for name, once in work.items()}
