"""Which files of a model are read, of all that its repositories have. Pure: it knows names, and opens nothing.

`hub` fetches them, `backends/diffusion/loader.py` reads them; the command line asks whether they are here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from pipeline.catalog import ModelSpec, Source

HALF = "fp16"  # the word in the name of a file of weights in half precision
SMALL = frozenset({".json", ".txt"})  # what stands beside weights and is read with them
FOLDERS = frozenset({".", "scheduler", "tokenizer"})  # that have no weights
LORA_FILE = "pytorch_lora_weights.safetensors"
# What is read of a model, in diffusers' names: small files, and weights without their ending.
DESCRIPTIONS = ("model_index.json", "scheduler/scheduler_config.json", "tokenizer/tokenizer_config.json")
CONFIGS = ("text_encoder/config.json", "unet/config.json")
WEIGHTS = ("text_encoder/model", "unet/diffusion_pytorch_model")
VAE_WEIGHTS = "vae/diffusion_pytorch_model"


@dataclass(frozen=True)
class Wanted:
    """What is read of a repository: the `files`, the `weights` (names without ending), and what is small beside them.

    Of weights in two precisions only one is wanted: the half one if `half`, else the full one.
    """

    source: Source
    files: tuple[str, ...]
    weights: tuple[str, ...]
    half: bool = False

    def choose(self, names: frozenset[str]) -> list[str]:
        """Of the files `names` those to fetch, the weights last. Raises FileNotFoundError that names a missing one."""
        weights = [self._precise(stem, names) for stem in self.weights]
        if missing := [name for name in (*self.files, *weights) if name not in names]:
            raise FileNotFoundError(missing[0])
        folders = FOLDERS | {str(PurePosixPath(stem).parent) for stem in self.weights}
        small = (path for path in map(PurePosixPath, names) if path.suffix in SMALL and str(path.parent) in folders)
        return [*sorted({*self.files, *map(str, small)}), *weights]

    def _precise(self, stem: str, names: frozenset[str]) -> str:
        full, half = f"{stem}.safetensors", f"{stem}.{HALF}.safetensors"
        return half if half in names and (self.half or full not in names) else full


def wanted_of(spec: ModelSpec, half: bool, tiny_vae: bool = True) -> list[Wanted]:
    """What is read of each repository of `spec`: the model, the tiny VAE where it has one and `tiny_vae`, the LoRA."""
    vae = spec.vae if tiny_vae else None
    own_vae = () if vae else (VAE_WEIGHTS,)
    configs = CONFIGS if vae else (*CONFIGS, "vae/config.json")
    wanted = [Wanted(spec.base, DESCRIPTIONS + configs, WEIGHTS + own_vae, half)]
    if vae:
        wanted.append(Wanted(vae, ("config.json",), ("diffusion_pytorch_model",)))
    if spec.lora:
        wanted.append(Wanted(spec.lora, (), (LORA_FILE.removesuffix(".safetensors"),)))
    return wanted
