"""The parts of a model that paint, as regions: encode, predict, decode. Each row is computed by itself."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.backends.diffusion.device import Device
from pipeline.backends.diffusion.loader import Model
from pipeline.backends.diffusion.regions import Region

VAE_SCALE = 8  # pixels a side of one latent


class Networks:
    """`encode` (n, 3, height, width), -1 to 1, to latents (n, 4, h, w); `predict` of latents (n, 4, h, w), timesteps
    (n,) and embeds (n, tokens, width) the UNet's answer, as large as the latents; `decode` is encode's inverse."""

    def __init__(self, model: Model, device: Device) -> None:
        self.device = device
        self._pipe = model.pipe
        self.encode = Region("encode", self._encode, device)
        self.predict = Region("predict", self._predict, device)
        self.decode = Region("decode", self._decode, device)

    def warm_up(self, width: int, height: int, embeds: Tensor) -> None:
        """Be ready for sessions of this size, in pixels, so that the first of them has nothing to wait for."""
        with torch.no_grad():
            self.encode.prepare(self._zeros(3, height, width))
            latents = self._zeros(4, height // VAE_SCALE, width // VAE_SCALE)
            timestep = torch.zeros(1, dtype=torch.long, device=self.device.torch_device)
            self.predict.prepare(latents, timestep, embeds)
            self.decode.prepare(latents)

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros((1, *shape), dtype=self.device.dtype, device=self.device.torch_device)

    def _encode(self, pictures: Tensor) -> Tensor:
        """Of a full VAE the mean: a sample would flicker on a still picture."""
        vae = self._pipe.vae
        encoded = vae.encode(pictures.to(vae.dtype))
        latents: Tensor = encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mean
        scale: float = vae.config.scaling_factor
        return latents * scale

    def _predict(self, latents: Tensor, timesteps: Tensor, embeds: Tensor) -> Tensor:
        answer: Tensor = self._pipe.unet(latents, timesteps, encoder_hidden_states=embeds, return_dict=False)[0]
        return answer

    def _decode(self, latents: Tensor) -> Tensor:
        vae = self._pipe.vae
        pictures: Tensor = vae.decode(latents / vae.config.scaling_factor, return_dict=False)[0]
        return pictures
