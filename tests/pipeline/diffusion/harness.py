"""What the tests of the diffusion engine share: pictures, small settings, streams, a model that counts its calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from pipeline.backends.diffusion.batch import Batches, Outcome, Painted, Pass
from pipeline.backends.diffusion.batch import Networks as BatchNetworks
from pipeline.backends.diffusion.device import Cpu, Device
from pipeline.backends.diffusion.live import Conditioning, LiveStream
from pipeline.backends.diffusion.loader import Model
from pipeline.backends.diffusion.networks import VAE_SCALE, Networks
from pipeline.backends.diffusion.timesteps import t_indices
from pipeline.frame import Frame, Pixels
from pipeline.settings import Settings

SIDE = 64  # pixels: the smallest that the networks' shape allows
WIDTH, TOKENS = 16, 77


def picture(seed: int, side: int = SIDE) -> Tensor:
    """(1, 3, side, side), -1 to 1: patches of colour."""
    patches = torch.rand((1, 3, 8, 8), generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return patches.repeat_interleave(side // 8, 2).repeat_interleave(side // 8, 3)


def frame(seed: int = 0, width: int = SIDE, height: int = SIDE) -> Frame:
    patches = torch.randint(0, 256, (8, 8, 3), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    rgb = patches.repeat_interleave(height // 8, 0).repeat_interleave(width // 8, 1)
    return Frame.from_rgb(rgb.numpy())


def conditioning(seed: int) -> Conditioning:
    generator = torch.Generator().manual_seed(seed)
    positive, negative = (torch.randn((1, TOKENS, WIDTH), generator=generator) for _ in range(2))
    return Conditioning(positive, negative)


def stream(
    model: Model,
    steps: int = 1,
    cfg_type: str = "none",
    *,
    prompt: int = 1,
    guidance: float = 1.5,
    seed: int = 2,
    strength: float = 0.6,
    side: int = SIDE,
) -> LiveStream:
    """A fresh stream with embeddings that stand for the prompt number `prompt`."""
    return LiveStream(
        model.pipe, t_indices(strength, steps), (side, side), cfg_type, conditioning(prompt), guidance, seed
    )


@dataclass(eq=False)
class Counting:
    """Networks that remember how many rows each UNet call had, and fail on command."""

    networks: Networks
    rows: list[int] = field(default_factory=list)
    encoded: int = 0
    decoded: int = 0
    fail_above: int | None = None  # rows
    error: Exception = field(default_factory=lambda: torch.OutOfMemoryError("on command"))

    @property
    def device(self) -> Device:
        return self.networks.device

    def encode(self, *columns: Sequence[Tensor]) -> Tensor:
        self.encoded += 1
        return self.networks.encode(*columns)

    def predict(self, *columns: Sequence[Tensor]) -> Tensor:
        count = sum(len(piece) for piece in columns[0])
        self.rows.append(count)
        if self.fail_above is not None and count > self.fail_above:
            raise self.error
        return self.networks.predict(*columns)

    def decode(self, *columns: Sequence[Tensor]) -> Tensor:
        self.decoded += 1
        return self.networks.decode(*columns)


class Sensitive:
    """Networks that see the camera and overdo it, as a diffusion model does: a little noise in it is a lot in the
    picture. For sessions of one step; the noise that was added is found again exactly."""

    device = Cpu()

    def __init__(self, model: Model) -> None:
        self._alphas: Tensor = model.pipe.scheduler.alphas_cumprod
        self._seen = torch.empty(0)

    def encode(self, *columns: Sequence[Tensor]) -> Tensor:
        cells = avg_pool2d(torch.cat(list(columns[0])), VAE_SCALE)
        self._seen = torch.cat([cells, cells[:, :1]], 1)
        return self._seen

    def predict(self, *columns: Sequence[Tensor]) -> Tensor:
        latents, timesteps = (torch.cat(list(column)) for column in columns[:2])
        alphas = self._alphas[timesteps].view(-1, 1, 1, 1)
        return (latents - alphas.sqrt() * self._seen) / (1 - alphas).sqrt()

    def decode(self, *columns: Sequence[Tensor]) -> Tensor:
        latents = torch.cat(list(columns[0]))
        picture = interpolate(latents[:, :3], scale_factor=VAE_SCALE, mode="bilinear")
        return (picture + 0.3 * torch.sin(20 * picture)).clamp(-1, 1)


def networks(model: Model, rehearses: bool = False) -> Networks:
    return Networks(model, Cpu(rehearses))


def counting(model: Model, fail_above: int | None = None) -> Counting:
    return Counting(networks(model), fail_above=fail_above)


def run(paints: Model | BatchNetworks, passes: Sequence[Pass]) -> list[Outcome]:
    return Batches(networks(paints) if isinstance(paints, Model) else paints).run(passes)


def painted(paints: Model | BatchNetworks, one: LiveStream, seed: int) -> Tensor:
    """What comes out of `one` for the picture number `seed`."""
    (outcome,) = run(paints, [Pass(one, picture(seed, one.size[0]))])
    assert isinstance(outcome, Painted), repr(outcome)
    return outcome.picture


def small(**values: object) -> Settings:
    """Settings of a size under what users may choose: quick."""
    settings = Settings.model_validate({"pipeline": "diffusion", "glide_frames": 0, "steadiness": 0.0} | values)
    smaller = {name: SIDE for name in ("width", "height") if name not in values}
    return settings.model_copy(update=smaller)


def rgb(answer: object) -> Pixels:
    assert isinstance(answer, Frame), repr(answer)
    return answer.rgb()
