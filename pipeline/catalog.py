"""The models that can be asked for by name: where they come from, under which licence, how they are run best.

Read from `models.toml`, and wrong entries in there are refused. An operator chooses one by its key, or a folder of
their own; a client never names either.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from pipeline.errors import BackendUnavailable

MODEL_VARIABLE = "LIVE_DIFFUSION_MODEL"  # of the worker's environment: a key, or a folder
Key = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]*"


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Source(_Strict):
    """A repository of the model hub. `revision` is a branch, a tag or, best, a commit."""

    repo: str = Field(pattern=rf"^{NAME}/{NAME}$")
    revision: str = Field(pattern=rf"^{NAME}$")
    layout: Literal["pipeline", "single"]  # a folder for each part of a model, or one part
    half_variant: Literal["fp16"] | None = None  # the word in the names of its files in half precision, if it has any


class ModelSpec(_Strict):
    key: Key
    title: str = Field(min_length=1)
    base: Source
    vae: Source
    lora: Source | None = None
    steps: int = Field(ge=1, le=4)
    cfg_type: Literal["none", "self", "full", "initialize"]
    licence: str = Field(min_length=1)
    notice: str = Field(min_length=1)  # what an operator has to know of the licence, in a sentence


def parse(text: str) -> dict[str, ModelSpec]:
    """The models of a `models.toml`, the first is the default. Raises ValueError for anything unknown or missing."""
    entries = TypeAdapter(dict[str, dict[str, object]]).validate_python(tomllib.loads(text))
    return {key: ModelSpec.model_validate({"key": key} | values) for key, values in entries.items()}


@cache
def models() -> dict[str, ModelSpec]:
    return parse(resources.files("pipeline").joinpath("models.toml").read_text(encoding="utf-8"))


def find(wanted: str | None) -> ModelSpec | Path:
    """The model with the key `wanted`, or the folder of that name; the default for None or an empty text.

    Raises BackendUnavailable if there is neither.
    """
    if not wanted:
        return next(iter(models().values()))
    if spec := models().get(wanted):
        return spec
    if (folder := Path(wanted).expanduser()).is_dir():
        return folder
    raise BackendUnavailable(
        f"There is no model {wanted!r}.", f"Choose one of {', '.join(models())}, or a folder in diffusers' layout."
    )
