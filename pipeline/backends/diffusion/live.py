"""StreamDiffusion made fit for live video on any device.

The mathematics of a step stay the package's. Left out are its CUDA events, its device-wide wait and its sleep, which
hold up every other session; mended are its rows of prompts, its shared generator and its flickering VAE. A step is
cut in two at the UNet, so that the rows of several streams can go through it in one call: see `batch.py`. Nothing
here waits for the device once a stream is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from diffusers import StableDiffusionPipeline
from streamdiffusion import StreamDiffusion
from torch import Tensor

from pipeline.backends.diffusion import steady
from pipeline.backends.diffusion.timesteps import SCHEDULE_STEPS
from pipeline.backends.diffusion.travel import Travel

LEAST_GUIDANCE = 1.0001  # at 1 the package leaves out rows that it counts on elsewhere
NOISE_DIMS = (-3, -2, -1)  # one direction for each step's noise as a whole


class Conditioning(NamedTuple):
    """What steers the picture: embeddings of the prompt and of what to avoid, each (1, tokens, width)."""

    positive: Tensor
    negative: Tensor


class Rows(NamedTuple):
    """A stream's part of one UNet call: latents (rows, 4, h, w), timesteps (rows,), embeds (rows, tokens, width)."""

    latents: Tensor
    timesteps: Tensor
    embeds: Tensor


class Memory(NamedTuple):
    """What a frame changes in a stream, to put it back after a failure."""

    latents: Tensor | None
    stock_noise: Tensor
    seen: int  # frames that went through since the latents were empty
    settled: int  # frames that went through since a setting was changed
    camera: Tensor | None = None  # for steadiness: what was given to the model last, (1, 3, height, width)
    painted: Tensor | None = None  # and what was shown of it


class LiveStream(StreamDiffusion):  # type: ignore[misc]  # the package has no types
    """One session's stream over the weights of `pipe`, which all streams share. Used by one thread at a time."""

    # Of the package, which has no types.
    batch_size: int
    frame_bff_size: int
    cfg_type: str
    guidance_scale: float
    delta: float
    init_noise: Tensor
    stock_noise: Tensor
    x_t_latent_buffer: Tensor | None

    def __init__(
        self,
        pipe: StableDiffusionPipeline,
        t_indices: Sequence[int],
        size: tuple[int, int],
        cfg_type: str,
        conditioning: Conditioning,
        guidance: float,
        seed: int,
        delta: float = 1.0,
    ) -> None:
        """`size` is (width, height) in pixels, multiples of 64; for `delta` see `set_guidance`."""
        width, height = size
        super().__init__(pipe, list(t_indices), pipe.unet.dtype, width, height, cfg_type=cfg_type)
        self.size = size
        self.steps = len(t_indices)
        self.pipe = _Encoded(conditioning)  # `prepare` would encode a prompt anew, and hold up all frames meanwhile
        # A generator of its own: the package's default is one object that all streams would share.
        self.prepare("", "", SCHEDULE_STEPS, self._clamped(guidance), delta, torch.Generator(), seed)
        self._noise = Travel(self.init_noise, NOISE_DIMS)
        self._schedule: list[int] = self.timesteps.tolist()
        self._seen = self._settled = 0
        self.camera: Tensor | None = None  # for steadiness: see `Memory`
        self.painted: Tensor | None = None
        self.set_steadiness(0)

    @property
    def warm(self) -> bool:
        """The next output will be a picture; the first `steps` - 1 are of latents that were still empty."""
        return self._seen >= self.steps - 1

    @property
    def has_painted(self) -> bool:
        """The last output was a picture."""
        return self._seen >= self.steps

    @property
    def settled(self) -> bool:
        """No output to come is still on its way from older settings to those in force."""
        return self._settled >= self.steps and not self._noise.moving

    @property
    def row_count(self) -> int:
        """How many rows of a UNet call a frame takes."""
        return self.batch_size + self._extra_rows

    @property
    def memory(self) -> Memory:
        return Memory(self.x_t_latent_buffer, self.stock_noise, self._seen, self._settled, self.camera, self.painted)

    @memory.setter
    def memory(self, memory: Memory) -> None:
        self.x_t_latent_buffer, self.stock_noise, self._seen, self._settled, self.camera, self.painted = memory

    def restart(self) -> None:
        """Forget all frames, as after `prepare`."""
        latents = None if self.x_t_latent_buffer is None else torch.zeros_like(self.x_t_latent_buffer)
        self.memory = Memory(latents, torch.zeros_like(self.init_noise), 0, 0)

    def set_conditioning(self, conditioning: Conditioning) -> None:
        """In force with the next output, for all its steps."""
        self._settled = 0
        positive, negative = conditioning
        rows = positive.expand(self.batch_size, -1, -1)
        if self._extra_rows:
            rows = torch.cat([negative.expand(self._extra_rows, -1, -1), rows])
        self.prompt_embeds = rows.to(self.dtype).contiguous()

    def set_guidance(self, guidance: float, delta: float) -> None:
        """`delta` is the share of the noise kept in mind that guidance pushes away from; for self and initialize."""
        self._settled = 0
        self.guidance_scale, self.delta = self._clamped(guidance), delta

    def set_steadiness(self, steadiness: float) -> None:
        """0 (off) to 1; see `steady.py`."""
        self.steadiness = steadiness
        self.least_gain = self._placed(torch.full((1, 1, 1, 1), steady.least_gain(steadiness)))
        if not steadiness:
            self.camera = self.painted = None

    def set_timesteps(self, t_indices: Sequence[int]) -> None:
        """Other noise levels, as many as before; what is under way keeps its level for `steps` - 1 frames."""
        if len(t_indices) != self.steps:
            raise ValueError(f"a stream of {self.steps} steps cannot take {len(t_indices)}")
        self._settled = 0
        steps = [self._schedule[index] for index in t_indices]
        alphas = torch.stack([self.scheduler.alphas_cumprod[step] for step in steps]).view(-1, 1, 1, 1)
        scalings = [self.scheduler.get_scalings_for_boundary_condition_discrete(torch.tensor(step)) for step in steps]
        skip, out = (torch.stack(column).view(-1, 1, 1, 1) for column in zip(*scalings, strict=True))
        self.t_list = list(t_indices)
        self.sub_timesteps_tensor = torch.tensor(steps, device=self.device)
        self.alpha_prod_t_sqrt, self.beta_prod_t_sqrt = self._placed(alphas.sqrt()), self._placed((1 - alphas).sqrt())
        self.c_skip, self.c_out = self._placed(skip), self._placed(out)

    def set_seed(self, seed: int, glide_frames: int) -> None:
        """Other noise, reached over `glide_frames` frames; the picture is a fresh stream's `steps` - 1 frames later."""
        self._settled = 0
        generator = torch.Generator().manual_seed(seed)
        self._noise.turn_to(self._placed(torch.randn(tuple(self.init_noise.shape), generator=generator)), glide_frames)
        if not glide_frames:
            self.init_noise = self._noise.now
            self.stock_noise = torch.zeros_like(self.init_noise)

    def advance(self) -> None:
        """One frame on, for what glides."""
        if self._noise.advance():
            self.init_noise = self._noise.now
            self._settled = 0

    def rows(self, latent: Tensor) -> Rows:
        """What the UNet has to be asked, for a camera picture's `latent`, (1, 4, h, w)."""
        noisy = self.add_noise(latent, self.init_noise[:1], 0)
        latents = noisy if self.x_t_latent_buffer is None else torch.cat([noisy, self.x_t_latent_buffer])
        timesteps = self.sub_timesteps_tensor
        if extra := self._extra_rows:
            latents, timesteps = torch.cat([latents[:extra], latents]), torch.cat([timesteps[:extra], timesteps])
        return Rows(latents, timesteps, self.prompt_embeds)

    def finish(self, rows: Rows, prediction: Tensor) -> Tensor:
        """The clean latent, (1, 4, h, w), that follows from the UNet's `prediction` for `rows`."""
        self.unet = _Given(prediction)
        clean: Tensor = self.predict_x0_batch(rows.latents[self._extra_rows : self._extra_rows + 1])
        self._seen += 1
        self._settled += 1
        return clean

    @property
    def _extra_rows(self) -> int:
        """Rows for the negative prompt, before those of the prompt."""
        return {"full": self.batch_size, "initialize": self.frame_bff_size}.get(self.cfg_type, 0)

    def _clamped(self, guidance: float) -> float:
        return 1.0 if self.cfg_type == "none" else max(guidance, LEAST_GUIDANCE)

    def _placed(self, value: Tensor) -> Tensor:
        return value.to(device=self.device, dtype=self.dtype)


class _Encoded:
    """Stands where `prepare` expects a pipeline with a text encoder."""

    def __init__(self, conditioning: Conditioning) -> None:
        self._conditioning = conditioning

    def encode_prompt(self, **_: object) -> Conditioning:
        return self._conditioning


class _Given:
    """Stands where `predict_x0_batch` expects a UNet: gives the prediction that is there already."""

    def __init__(self, prediction: Tensor) -> None:
        self._prediction = prediction

    def __call__(self, latents: Tensor, timesteps: Tensor, **_: object) -> tuple[Tensor]:
        return (self._prediction,)
