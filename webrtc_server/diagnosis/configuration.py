"""What is configured, where it comes from, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping

from webrtc_server import config
from webrtc_server.config import Config
from webrtc_server.diagnosis.finding import Finding, ok, problem, warning


def read(flags: Mapping[str, object]) -> tuple[Config, list[Finding]]:
    """The configuration, or the defaults where it is invalid; and what there is to say of it, without secrets."""
    unknown = [
        warning(sentence, "Correct or remove it; docs/reference/configuration.md has all names.")
        for sentence in config.unknown_names()
    ]
    try:
        settings = config.load(flags)
    except config.InvalidConfig as error:
        fix = "Correct it where it stands; until then all else is checked with the defaults."
        wrong = [problem(line, fix) for line in str(error).splitlines()]
        return Config(), [*wrong, *unknown]
    return settings, [ok(_in_words(settings, flags)), *unknown]


def _in_words(settings: Config, flags: Mapping[str, object]) -> str:
    """What differs from the defaults, and where it was said. Pydantic writes asterisks for what is secret."""
    values = settings.model_dump(mode="json")
    defaults = Config.model_construct().model_dump(mode="json")
    parts = [
        f"{name}={values[name]} ({config.origin(name, flags, config.ENV_FILE)})"
        for name in values
        if values[name] != defaults[name]
    ]
    return f"configured: {', '.join(parts)}" if parts else "configured: nothing, all defaults"
