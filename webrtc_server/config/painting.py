"""What paints, and with which settings a session starts."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from pipeline.registry import AUTO, ENTRIES
from pipeline.settings import InvalidSettings, Settings, merge
from webrtc_server.config.part import Lower, Part

_SESSION_DEFAULTS = ("prompt", "negative_prompt", "denoising_strength", "steps", "guidance", "width", "height")


def _session_default(name: str) -> Any:  # noqa: ANN401  as pydantic's own Field is declared
    """A field that says with what value of the setting `name` a session starts."""
    setting = Settings.model_fields[name]
    description = f"{setting.description} A session starts with it and may change it."
    return Field(default=setting.default, title=setting.title, description=description)


class Painting(Part):
    pipeline: str = Field(
        default=AUTO,
        description=f"What paints the picture: {', '.join(ENTRIES)}, or {AUTO} for the best that runs here.",
    )
    model: str | None = Field(
        default=None,
        min_length=1,
        description=(
            "What the diffusion pipeline paints with: sd-turbo, sd15-lcm, a folder in diffusers' layout, or "
            "owner/name or owner/name@revision of the model hub; unset is sd-turbo."
        ),
    )
    vae: Annotated[Literal["tiny", "full"], Lower] = Field(
        default="tiny",
        description="Autoencoder of the model: a tiny one, or its own full one, which takes several times as long.",
    )
    attention: Annotated[Literal["sdpa", "xformers"], Lower] = Field(
        default="sdpa",
        description="Attention of the model: torch's own, or that of xformers where it is installed.",
    )
    model_dir: str | None = Field(
        default=None,
        min_length=1,
        description="Folder in which models of the hub are stored; unset is the hub client's own, as HF_HOME says.",
    )
    gpu_device: int = Field(default=0, ge=0, le=255, description="Number of the GPU to use, where there is one.")
    prompt: str = _session_default("prompt")
    negative_prompt: str = _session_default("negative_prompt")
    denoising_strength: float = _session_default("denoising_strength")
    steps: int = _session_default("steps")
    guidance: float = _session_default("guidance")
    width: int = _session_default("width")
    height: int = _session_default("height")

    @field_validator("pipeline")
    @classmethod
    def _known_pipeline(cls, value: str) -> str:
        names = (AUTO, *ENTRIES)
        if value not in names:
            raise ValueError(f"must be one of: {', '.join(names)}")
        return value

    @field_validator(*_SESSION_DEFAULTS)
    @classmethod
    def _as_in_a_session(cls, value: object, info: ValidationInfo) -> object:
        assert info.field_name is not None
        try:
            merge(Settings(), {info.field_name: value})
        except InvalidSettings as error:
            raise ValueError(error.problems[0].message) from None
        return value

    def session_settings(self, pipeline: str) -> Settings:
        """The settings with which a session of `pipeline` starts."""
        return Settings(pipeline=pipeline, **{name: getattr(self, name) for name in _SESSION_DEFAULTS})
