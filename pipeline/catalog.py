"""The models that can be asked for by name: where they come from, under which licence, how they are run best.

Read from `models.toml`, and wrong entries in there are refused. An operator chooses one by its key, or a folder or a
repository of the model hub of their own choice; a client never names any of them.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from pipeline.errors import BackendUnavailable

# What the worker's environment says of the model:
MODEL_VARIABLE = "LIVE_DIFFUSION_MODEL"  # a key, a folder, or a repository of the hub
VAE_VARIABLE = "LIVE_DIFFUSION_VAE"  # tiny or full
ATTENTION_VARIABLE = "LIVE_DIFFUSION_ATTENTION"  # sdpa or xformers
MODEL_DIR_VARIABLE = "LIVE_DIFFUSION_MODEL_DIR"  # the folder in which the hub's client stores models

NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
HUB_ID = re.compile(rf"({NAME}/{NAME})(?:@({NAME}))?")
Key = Annotated[str, Field(pattern=rf"^([a-z0-9]+(-[a-z0-9]+)*|{NAME}/{NAME})$")]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Source(_Strict):
    """A repository of the model hub. `revision` is a branch, a tag or, best, a commit: that never changes."""

    repo: str = Field(pattern=rf"^{NAME}/{NAME}$")
    revision: str = Field(pattern=rf"^{NAME}$")


class Download(_Strict):
    """Gigabytes to fetch, in half precision (with a GPU) and in full."""

    half: float = Field(gt=0)
    full: float = Field(gt=0)


class ModelSpec(_Strict):
    key: Key  # for a model that is not of the catalogue: its repository
    title: str = Field(min_length=1)
    base: Source
    vae: Source | None = None  # a tiny one; None: the model's own full one
    lora: Source | None = None
    download: Download | None = None  # None: not known
    steps: int | None = Field(default=None, ge=1, le=4)  # that the model is made for; None: not known
    cfg_type: Literal["none", "self", "full", "initialize"] | None = None  # that it is best run with; None: not known
    licence: str = Field(min_length=1)
    notice: str = Field(min_length=1)  # what an operator has to know of the licence, in a sentence

    @property
    def sources(self) -> list[Source]:
        return [source for source in (self.base, self.vae, self.lora) if source]


def parse(text: str) -> dict[str, ModelSpec]:
    """The models of a `models.toml`, the first is the default. Raises ValueError for anything unknown or missing."""
    entries = TypeAdapter(dict[str, dict[str, object]]).validate_python(tomllib.loads(text))
    return {key: ModelSpec.model_validate({"key": key} | values) for key, values in entries.items()}


@cache
def models() -> dict[str, ModelSpec]:
    return parse(resources.files("pipeline").joinpath("models.toml").read_text(encoding="utf-8"))


def find(wanted: str | None) -> ModelSpec | Path:
    """The model with the key `wanted`, the folder of that name, or the repository `owner/name` or
    `owner/name@revision` of the hub; the catalogue's first model for None or an empty text.

    A folder that is there wins over a repository of the same name. Raises BackendUnavailable if it is none of them.
    """
    if not wanted:
        return next(iter(models().values()))
    if spec := models().get(wanted):
        return spec
    if (folder := Path(wanted).expanduser()).is_dir():
        return folder
    if named := HUB_ID.fullmatch(wanted):
        return on_hub(named[1], named[2] or "main")
    shown = re.sub(r"//[^/]*@", "//", wanted)  # a URL is no model, and its password is nobody's business
    raise BackendUnavailable(
        f"There is no model {shown!r}.",
        f"Choose one of {', '.join(models())}, a folder in diffusers' layout, or owner/name of the model hub.",
    )


def on_hub(repo: str, revision: str) -> ModelSpec:
    """A model that is not of the catalogue, with the tiny VAE that all of Stable Diffusion 1 and 2 share."""
    return ModelSpec(
        key=repo,
        title=repo,
        base=Source(repo=repo, revision=revision),
        vae=next(iter(models().values())).vae,
        licence="not known here",
        notice=f"Read the licence on the page of {repo} before use.",
    )
