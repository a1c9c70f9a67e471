"""What the parts of the configuration share: their base, and how a text of the environment becomes a value."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic_settings import NoDecode


class Part(BaseModel):
    """The settings of one concern. Their names are flat: no part appears in them."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


def items(value: object) -> object:
    """The text of a list: JSON, or entries between commas."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except json.JSONDecodeError as error:
            raise ValueError(f"is not valid JSON: {error}") from None
    return [item.strip() for item in value.split(",") if item.strip()]


def expanded(file: str) -> Path:
    """~ is the user's folder, also where no shell saw it. Of a user who is not known it stays as it is."""
    return Path(os.path.expanduser(file))


def lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


Texts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(items)]
Lower = BeforeValidator(lower)
