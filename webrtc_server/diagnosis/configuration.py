"""What is configured, where it comes from, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping

from webrtc_server.config import Config, InvalidConfig, Sources
from webrtc_server.diagnosis.finding import Finding, ok, problem, warning

CORRECT = "Correct it where it stands; until then all else is checked with the defaults."


def look(flags: Mapping[str, object]) -> tuple[Config, list[Finding]]:
    """The configuration, or the defaults where it is invalid; and what there is to say of it, without secrets."""
    unknown: list[Finding] = []
    try:
        sources = Sources(flags)
        unknown = [
            warning(sentence, "Correct or remove it; docs/reference/configuration.md has all names.")
            for sentence in sources.unknown_names()
        ]
        settings = sources.config()
    except InvalidConfig as error:
        return Config(), [*(problem(one, CORRECT) for one in error.problems), *unknown]
    return settings, [ok(_in_words(settings, sources)), *unknown]


def _in_words(settings: Config, sources: Sources) -> str:
    """What is set, and where. Pydantic writes stars for what is secret."""
    values = settings.model_dump(mode="json")
    parts = [f"{name}={values[name]} ({origin})" for name, origin in sources.origins().items()]
    return f"configured: {', '.join(parts)}" if parts else "configured: nothing, all defaults"
