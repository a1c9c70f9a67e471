"""Where the values of the configuration come from, which of them wins, and how a bad one is told.

Bare names count in `.env` only, for shells and platforms set `PROMPT` and `HOST` for purposes of their own.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values
from pydantic import ValidationError, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from webrtc_server.config.access import NEW_TOKEN
from webrtc_server.config.model import Config
from webrtc_server.config.part import expanded

PREFIX = "LIVE_DIFFUSION_"
ENV_FILE = Path(".env")
TOML_FILE = Path("live-diffusion.toml")
EXPOSED = (
    "other machines reach this address, and anybody there could use the server. "
    f"Set {PREFIX}AUTH_TOKEN ({NEW_TOKEN}), listen on 127.0.0.1, or say --insecure-public if that is meant"
)

_COMMAND_LINE, _ENVIRONMENT = "the command line", "the environment"
_SECRET = {f"{PREFIX}{name}" for name in ("AUTH_TOKEN", "TURN_SECRET", "ICE_SERVERS")}


class InvalidConfig(ValueError):
    """What the process cannot start with: `problems` names each value, where it comes from and what is wrong."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True)
class Origin:
    """Where a value comes from, in the words with which the user set it."""

    name: str
    place: str

    def __str__(self) -> str:
        return self.name if self.place == _COMMAND_LINE else f"{self.name} in {self.place}"


@dataclass(frozen=True)
class _Layer:
    """The values that one place gives, by field; `name` is what a field is called there."""

    place: str
    values: Mapping[str, object]
    name: Callable[[str], str]


class _Names(BaseSettings, Config):
    """For pydantic-settings' sources, which look into a model of this kind for the names and kinds of values."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="ignore")


class _WithSecrets(Config):
    """`Config`, with secrets out of the files that are named for them, as containers hand them over."""

    @field_validator("auth_token", "turn_secret", mode="before")
    @classmethod
    def _from_file(cls, value: object, info: ValidationInfo) -> object:
        file = info.data.get(f"{info.field_name}_file")
        if file is None:
            return value
        if value is not None:
            raise ValueError(f"is set, and {info.field_name}_file too: keep one of them")
        try:
            return expanded(file).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise ValueError(f"{info.field_name}_file cannot be read: {reason}") from None


class Sources:
    """Everything that is set, read once: `flags` over the environment over `env_file` over TOML over the defaults.

    The TOML file is what `config` names in one of the places above it, else `toml_file`, which need not be there.
    Raises InvalidConfig where a file cannot be read.
    """

    def __init__(self, flags: Mapping[str, object], env_file: Path = ENV_FILE, toml_file: Path = TOML_FILE) -> None:
        self._set_names = [key.upper() for key in (*os.environ, *_dotenv(env_file))]
        self._layers = [
            _Layer(_COMMAND_LINE, flags, lambda field: f"--{field.replace('_', '-')}"),
            _Layer(_ENVIRONMENT, _fields(EnvSettingsSource(_Names)()), _prefixed),
            _Layer(str(env_file), _fields(DotEnvSettingsSource(_Names, env_file)()), _prefixed),
            _Layer(str(env_file), _fields(DotEnvSettingsSource(_Names, env_file, env_prefix="")()), str.upper),
        ]
        named = next((layer.values["config"] for layer in self._layers if "config" in layer.values), None)
        self._toml_file = expanded(str(named)) if named is not None else toml_file
        self._toml = self._read_toml(must_be_there=named is not None)
        values = {name: value for name, value in _fields(self._toml).items() if not _says_unset(name, value)}
        values.pop("config", None)
        self._layers.append(_Layer(str(self._toml_file), values, str))

    def config(self) -> Config:
        """What is in force. Raises InvalidConfig, which names every bad value."""
        values: dict[str, object] = {}
        for layer in reversed(self._layers):
            values |= layer.values
        try:
            config = Config.model_validate(dict(_WithSecrets.model_validate(values)))
        except ValidationError as error:
            raise InvalidConfig(self._problem(item["loc"], item["msg"]) for item in error.errors()) from None
        if not (config.is_local or config.auth_token or config.insecure_public):
            raise InvalidConfig([self._problem(("host",), EXPOSED)])
        return config

    def origin(self, field: str) -> Origin | None:
        """Where the value of `field` comes from; None for a default. A secret's may be its file's name."""
        for layer in self._layers:
            if field in layer.values:
                return Origin(layer.name(field), layer.place)
        return self.origin(f"{field}_file") if f"{field}_file" in Config.model_fields else None

    def origins(self) -> dict[str, Origin]:
        """Those of all that is set."""
        return {field: origin for field in Config.model_fields if (origin := self.origin(field))}

    def unknown_names(self) -> list[str]:
        """A sentence for each name, in a place that is ours, that means nothing here."""
        own = {name.removeprefix(PREFIX) for name in self._set_names if name.startswith(PREFIX)}
        known = {name.upper() for name in Config.model_fields}
        in_toml = Config.model_fields.keys() - {"config"}  # which cannot name another
        return [
            *(_unknown(name, known, prefix=PREFIX) for name in sorted(own - known)),
            *(_unknown(name, in_toml, place=f" in {self._toml_file}") for name in self._toml if name not in in_toml),
        ]

    def _problem(self, location: tuple[int | str, ...], message: str) -> str:
        field = str(location[0])
        inside = "".join(f"[{part}]" for part in location[1:])
        return f"{self.origin(field) or _prefixed(field)}{inside}: {message.removeprefix('Value error, ')}"

    def _read_toml(self, must_be_there: bool) -> dict[str, object]:
        with _readable(self._toml_file):
            if not must_be_there or self._toml_file.is_file():
                return TomlConfigSettingsSource(_Names, self._toml_file)()
        raise InvalidConfig([f"{self.origin('config')}: there is no file {self._toml_file}"])


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InvalidConfig([f"{path} cannot be read: {error.strerror}"]) from None
    except ValueError as error:  # no text in UTF-8, or no TOML: then it says line and column
        raise InvalidConfig([f"{path} cannot be read: {error}"]) from None


def _dotenv(path: Path) -> Iterable[str]:
    with _readable(path):
        return dotenv_values(path)


def _fields(values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if name in Config.model_fields}


def _says_unset(name: str, value: object) -> bool:
    """An empty text, as it means in the environment: TOML has no word for what is unset."""
    return value == "" and Config.model_fields[name].default is None


def _prefixed(field: str) -> str:
    return f"{PREFIX}{field}".upper()


def _unknown(name: str, known: Iterable[str], prefix: str = "", place: str = "") -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"{prefix}{name}{place} is not a setting" + (f"; did you mean {prefix}{near[0]}?" if near else "")


def load(flags: Mapping[str, object], env_file: Path = ENV_FILE) -> Config:
    """The configuration in force. Raises InvalidConfig, which names every bad value."""
    return Sources(flags, env_file).config()


def unknown_names(env_file: Path = ENV_FILE) -> list[str]:
    """A sentence for each name that means nothing here. Raises InvalidConfig where a file cannot be read."""
    return Sources({}, env_file).unknown_names()


def forget_secrets() -> None:
    """Take them out of this process's environment, once it is read: the worker inherits what is left, and no model
    library needs them."""
    for name in [name for name in os.environ if name.upper() in _SECRET]:
        del os.environ[name]
