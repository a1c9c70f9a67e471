"""How many sessions there are, how they end, and what is told of it all."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from webrtc_server.config.part import Lower, Part


class Operation(Part):
    config: str | None = Field(
        default=None,
        min_length=1,
        description=(
            "A TOML file with these settings, by their names in lower case and without the prefix; unset is "
            "live-diffusion.toml, where there is one. It cannot name another."
        ),
    )
    max_sessions: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description=(
            "How many sessions are painted at a time; unset is measured: as many as leave each 10 frames a second, "
            "at most 8. Those above it wait in line."
        ),
    )
    queue_length: int = Field(
        default=8, ge=0, le=1000, description="How many sessions may wait in line for a place; 0 for none."
    )
    drain_seconds: float = Field(
        default=20,
        ge=0,
        le=3600,
        description=(
            "Seconds that sessions have to leave by themselves after SIGTERM, before they are ended. What stops the "
            "process must wait ten seconds longer (compose: stop_grace_period)."
        ),
    )
    metrics: bool = Field(
        default=True, description="Answer Prometheus on /metrics, where the token is asked for if there is one."
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Lower] = Field(
        default="info", description="The least important messages to log."
    )
    log_format: Annotated[Literal["auto", "console", "json"], Lower] = Field(
        default="auto", description="Form of the log; auto is console on a terminal and JSON lines elsewhere."
    )
