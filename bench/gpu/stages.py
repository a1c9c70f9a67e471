"""What each part of one session's frame takes."""

from __future__ import annotations

import torch

from bench.gpu.clock import median_ms
from bench.gpu.flops import TOKENS
from bench.gpu.rig import Figures, Rig
from pipeline import geometry
from pipeline.backends.diffusion.device import best_device
from pipeline.backends.diffusion.networks import Networks
from pipeline.backends.diffusion.transfer import Fit, Shown, make_transfer
from pipeline.frame import PixelFormat


@torch.no_grad()
def stages(rig: Rig) -> Figures:
    """`colour_in` and `colour_out` have the way over the bus in them, which `upload` and `download` are alone."""
    model, side = rig.engine._model, rig.scale.side
    device = best_device()
    networks, transfer = Networks(model, device), make_transfer(device)
    (camera, *_) = rig.cameras(PixelFormat.I420)
    data = torch.from_numpy(camera.data)
    placement = geometry.place((camera.width, camera.height), (side, side), "crop")
    fit = Fit(camera, placement, (side, side))
    with device.lane("compute"):
        (picture,) = transfer.upload([fit])
        latents = networks.encode([picture])
        width = model.pipe.unet.config.cross_attention_dim
        embeds = torch.randn((1, TOKENS, width), device=rig.device, dtype=device.dtype)
        timestep = torch.tensor([399], device=rig.device)
        painted = networks.decode([latents])
        shown = Shown(painted, placement.target, PixelFormat.I420, torch.ones((), dtype=torch.bool, device=rig.device))
        answer = torch.zeros(side * side * 3 // 2, dtype=torch.uint8, device=rig.device)
        work = {
            "upload_ms": lambda: data.to(rig.device, copy=True),
            "colour_in_ms": lambda: transfer.upload([fit]),
            "encode_ms": lambda: networks.encode([picture]),
            "unet_ms": lambda: networks.predict([latents], [timestep], [embeds]),
            "decode_ms": lambda: networks.decode([latents]),
            "colour_out_ms": lambda: transfer.download([shown])(),
            "download_ms": lambda: answer.to("cpu", copy=True),
        }
        return {name: median_ms(rig.device, once, rig.scale.rounds) for name, once in work.items()}
