"""The settings of one session: one pydantic model, and the rule by which a message changes it.

`merge` is all or nothing: it answers a `Change`, or raises `InvalidSettings` that names every bad field and leaves
the old settings untouched. The JSON Schema of `Settings` draws the controls of the page.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

Apply = Literal["live", "rebuild"]
MAX_PROMPT = 1000  # characters after NFC; a longer text does not fit any text encoder here
MAX_PROMPTS = 4
MAX_TEXTS_BYTES = 9 * 1024  # of all texts together, as UTF-8: a message with all settings is to stay under 16 KiB
MAX_PROBLEMS = 30  # unknown settings that are named; a message may hold thousands


def _whole(value: object) -> object:
    """JSON has one kind of number: 2.0 is a whole number too."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _clean_text(value: str) -> str:
    if len(value) > 2 * MAX_PROMPT:  # composing costs the square of the length at worst: a second for 64 KiB
        raise ValueError(f"at most {MAX_PROMPT} characters")
    text = unicodedata.normalize("NFC", value)
    if len(text) > MAX_PROMPT:
        raise ValueError(f"at most {MAX_PROMPT} characters")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise ValueError("no control characters (line breaks and tabs are some) and no half surrogate pairs")
    return text


Whole = Annotated[int, BeforeValidator(_whole)]
Text = Annotated[str, AfterValidator(_clean_text), Field(json_schema_extra={"maxLength": MAX_PROMPT})]


def _control(group: str, apply: Apply, widget: str, step: float | None = None, unit: str = "") -> dict[str, Any]:
    """What the page needs to draw a control, beside what JSON Schema says already."""
    hints: dict[str, Any] = {"group": group, "apply": apply, "widget": widget, "unit": unit}
    return hints if step is None else hints | {"step": step}


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class WeightedPrompt(_Model):
    text: Text
    weight: float = Field(default=1.0, ge=0, le=10)


class Settings(_Model):
    """Everything a client may set for its own session. Frozen: a change makes a new one through `merge`."""

    pipeline: str = Field(
        default="identity",
        title="Pipeline",
        description="What paints the picture: diffusion wants a GPU, neural-style and effects run on any CPU, "
        "identity is a bypass.",
        json_schema_extra=_control("pipeline", "live", "select"),
    )
    prompt: Text = Field(
        default="starry night by van gogh",
        title="Prompt",
        description="How the picture should look. Artists, media and moods work best with the CPU pipelines.",
        json_schema_extra=_control("prompt", "live", "textarea"),
    )
    prompts: tuple[WeightedPrompt, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_PROMPTS,
        title="Blended prompts",
        description="One to four weighted prompts, used in place of the prompt while they are set.",
        json_schema_extra=_control("prompt", "live", "prompts"),
    )
    negative_prompt: Text = Field(
        default="",
        title="Avoid",
        description="What the picture should not look like.",
        json_schema_extra=_control("prompt", "live", "textarea"),
    )
    denoising_strength: float = Field(
        default=0.8,
        ge=0,
        le=1,
        title="Strength",
        description="How far the result may leave the camera picture: 0 keeps it, 1 repaints it wholly.",
        # Of diffusion's noise schedule so many places differ: its back end's `timesteps`.
        json_schema_extra=_control("look", "live", "range", 0.01) | {"stops": {"diffusion": 49}},
    )
    guidance: float = Field(
        default=1.0,
        ge=1,
        le=10,
        title="Guidance",
        description="How strongly the prompt is exaggerated; 1 is neutral.",
        json_schema_extra=_control("look", "live", "range", 0.1),
    )
    delta: float = Field(
        default=1.0,
        ge=0,
        le=1,
        title="Guidance delta",
        description="How much of the noise that guidance remembers it pushes away from; for the guidance methods self "
        "and initialize.",
        json_schema_extra=_control("look", "live", "range", 0.05),
    )
    seed: Whole = Field(
        default=2,
        ge=0,
        le=2**32 - 1,
        title="Seed",
        description="Same seed, same prompt: same look.",
        json_schema_extra=_control("look", "live", "seed", 1),
    )
    glide_frames: Whole = Field(
        default=8,
        ge=0,
        le=120,
        title="Glide",
        description="How long a change of prompt or seed takes.",
        json_schema_extra=_control("motion", "live", "range", 1, "frames"),
    )
    steadiness: float = Field(
        default=0.6,
        ge=0,
        le=1,
        title="Steadiness",
        description="Less flicker, for some sharpness of motion.",
        json_schema_extra=_control("motion", "live", "range", 0.05),
    )
    similarity_threshold: float = Field(
        default=0.0,
        ge=0,
        le=1,
        title="Skip similar frames",
        description="Above this likeness to the last painted frame a frame is not painted again; 0 is off.",
        json_schema_extra=_control("motion", "live", "range", 0.01),
    )
    steps: Whole = Field(
        default=1,
        ge=1,
        le=4,
        title="Steps",
        description="Passes of the model over each frame: more detail, fewer frames a second.",
        json_schema_extra=_control("model", "rebuild", "range", 1),
    )
    cfg_type: Literal["none", "self", "full", "initialize"] = Field(
        default="none",
        title="Guidance method",
        description="How guidance is computed; only full and initialize use the negative prompt of a diffusion model.",
        json_schema_extra=_control("model", "rebuild", "select"),
    )
    width: Whole = Field(
        default=512,
        ge=256,
        le=1024,
        multiple_of=64,
        title="Width",
        description="Width of the result.",
        json_schema_extra=_control("size", "rebuild", "range", 64, "px"),
    )
    height: Whole = Field(
        default=512,
        ge=256,
        le=1024,
        multiple_of=64,
        title="Height",
        description="Height of the result.",
        json_schema_extra=_control("size", "rebuild", "range", 64, "px"),
    )
    fit: Literal["crop", "letterbox", "stretch"] = Field(
        default="crop",
        title="Fit",
        description="How the camera picture is brought to the result's shape.",
        json_schema_extra=_control("size", "live", "select"),
    )

    @field_validator("pipeline")
    @classmethod
    def _known_pipeline(cls, value: str, info: ValidationInfo) -> str:
        """Checked against the `pipelines` of the validation context, where one is given."""
        names = (info.context or {}).get("pipelines")
        if names is not None and value not in names:
            raise ValueError(f"must be one of: {', '.join(names)}")
        return value

    @field_validator("prompts", mode="before")
    @classmethod
    def _list_as_tuple(cls, value: object) -> object:
        if isinstance(value, list) and len(value) > MAX_PROMPTS:
            raise ValueError(f"at most {MAX_PROMPTS} prompts")
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _prompts_together(self) -> Self:
        if self.prompts and sum(p.weight for p in self.prompts) <= 0:
            raise ValueError("prompts: the weights must not all be 0")
        texts = [self.prompt, self.negative_prompt, *(prompt.text for prompt in self.prompts or ())]
        if sum(len(text.encode()) for text in texts) > MAX_TEXTS_BYTES:
            raise ValueError(f"prompts: all texts together must not exceed {MAX_TEXTS_BYTES // 1024} KiB")
        return self

    @property
    def weighted_prompts(self) -> tuple[WeightedPrompt, ...]:
        """What is asked for, whichever of `prompt` and `prompts` says it."""
        return self.prompts or (WeightedPrompt(text=self.prompt),)


@dataclass(frozen=True)
class Problem:
    field: str
    message: str


class InvalidSettings(ValueError):
    """A settings message that changes nothing; `problems` names every bad field."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(f"{p.field}: {p.message}" for p in problems))
        self.problems = problems


@dataclass(frozen=True)
class Change:
    """`settings` as they are to be, and the names of those that differ from before, in the model's order."""

    settings: Settings
    changed: tuple[str, ...]

    @property
    def rebuilds(self) -> tuple[str, ...]:
        return tuple(name for name in self.changed if applies(name) == "rebuild")


def applies(name: str) -> Apply:
    """Whether the setting `name` is in force with the next frame (`live`) or after a `rebuild`."""
    extra = Settings.model_fields[name].json_schema_extra
    assert isinstance(extra, dict)
    return "rebuild" if extra["apply"] == "rebuild" else "live"


def merge(current: Settings, patch: Mapping[str, object], pipelines: tuple[str, ...] | None = None) -> Change:
    """`current` with `patch` over it. `pipelines`, if given, are the names that `pipeline` may take.

    Raises InvalidSettings, which names every bad field.
    """
    known = {name: value for name, value in patch.items() if name in Settings.model_fields}
    unknown = [name for name in patch if name not in Settings.model_fields]
    values = {name: getattr(current, name) for name in Settings.model_fields} | known
    problems = [Problem(name[:100], "there is no such setting") for name in unknown[:MAX_PROBLEMS]]
    if patch.get("prompts") is not None and "prompt" in patch:
        problems.append(Problem("prompts", "set prompt or prompts, not both in one message"))
    elif "prompt" in patch:
        values["prompts"] = None
    try:
        settings = Settings.model_validate(values, context={"pipelines": pipelines})
    except ValidationError as error:
        problems = [_problem(item["loc"], item["msg"], item["type"]) for item in error.errors()] + problems
    if problems:
        raise InvalidSettings(problems)
    return Change(settings, differences(current, settings))


def differences(before: Settings, after: Settings) -> tuple[str, ...]:
    """The names of the settings that differ, in the model's order."""
    return tuple(name for name in Settings.model_fields if getattr(before, name) != getattr(after, name))


def _problem(location: tuple[int | str, ...], message: str, kind: str) -> Problem:
    text = message.removeprefix("Value error, ")
    if not location:
        field, _, rest = text.partition(": ")
        return Problem(field, rest)
    path = ".".join(str(part) for part in location)
    return Problem(path[:100], "there is no such setting" if kind == "extra_forbidden" else text)
