"""The settings of the process: one frozen model, and where its values come from.

Command line > environment (`LIVE_DIFFUSION_PORT`) > `.env` (`LIVE_DIFFUSION_PORT`, then the bare `PORT`) > default.
Bare names count in `.env` only, for shells and platforms set `PROMPT` and `HOST` for purposes of their own.
`.env.example` and `docs/reference/configuration.md` are generated from this model.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from dotenv import dotenv_values
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from pipeline.registry import AUTO, ENTRIES
from pipeline.settings import InvalidSettings, Settings, merge
from webrtc_server.limits import AUTH_TOKEN_LONGEST, AUTH_TOKEN_SHORTEST

PREFIX = "LIVE_DIFFUSION_"
ENV_FILE = Path(".env")

_ICE_SCHEMES = ("stun:", "stuns:", "turn:", "turns:")
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+={0,2}")  # RFC 6750 section 2.1, so that it goes into a header as it is
_NEW_TOKEN = "python -c 'import secrets; print(secrets.token_urlsafe(24))' makes one"
_HOST_NAME = re.compile(r"\*|[A-Za-z0-9._-]+")
_SESSION_DEFAULTS = ("prompt", "negative_prompt", "denoising_strength", "steps", "guidance", "width", "height")
_SECRET = {f"{PREFIX}{name}" for name in ("AUTH_TOKEN", "TURN_SECRET", "ICE_SERVERS")}


class IceServer(BaseModel):
    """One entry of `ice_servers`, with the names that browsers use."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    urls: tuple[str, ...]
    username: str | None = None
    credential: SecretStr | None = None

    @field_validator("urls", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("urls")
    @classmethod
    def _ice_urls(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for url in value:
            if not url.startswith(_ICE_SCHEMES):
                raise ValueError(f"{url!r} must start with one of {' '.join(_ICE_SCHEMES)}")
        return value


def _items(value: object) -> object:
    """The text of a list: JSON, or entries between commas."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except json.JSONDecodeError as error:
            raise ValueError(f"is not valid JSON: {error}") from None
    return [item.strip() for item in value.split(",") if item.strip()]


def _ice_servers(value: object) -> object:
    items = _items(value)
    return [{"urls": item} if isinstance(item, str) else item for item in items] if isinstance(items, list) else items


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _session_default(name: str, also: str = "") -> Any:  # noqa: ANN401  as pydantic's own Field is declared
    """A field that says with what value of the setting `name` a session starts."""
    setting = Settings.model_fields[name]
    description = f"{setting.description} A session starts with it and may change it.{also}"
    return Field(default=setting.default, title=setting.title, description=description)


class Config(BaseModel):
    """What the process is told at its start. Made by `load`; tests make one directly, which reads nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="Address to listen on; 0.0.0.0 for every network of this machine.",
    )
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    auth_token_file: str | None = Field(
        default=None, min_length=1, description="File that holds the token, in place of LIVE_DIFFUSION_AUTH_TOKEN."
    )
    auth_token: SecretStr | None = Field(
        default=None,
        description=(
            "Token that clients have to send (Authorization: Bearer), and that the page asks for; unset asks for none. "
            f"{AUTH_TOKEN_SHORTEST} to {AUTH_TOKEN_LONGEST} letters, digits and -._~+/"
        ),
    )
    view_token_s: int = Field(
        default=3600, ge=60, le=604_800, description="Seconds for which a link to watch a session can be used."
    )
    insecure_public: bool = Field(
        default=False,
        description=(
            "Listen on an address that other machines reach, and ask for no token: whoever reaches it may use it. "
            "For a network that is trusted, or behind a proxy that checks who comes."
        ),
    )
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
    vae: Annotated[Literal["tiny", "full"], BeforeValidator(_lower)] = Field(
        default="tiny",
        description="Autoencoder of the model: a tiny one, or its own full one, which takes several times as long.",
    )
    attention: Annotated[Literal["sdpa", "xformers"], BeforeValidator(_lower)] = Field(
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
    ice_servers: Annotated[tuple[IceServer, ...], NoDecode, BeforeValidator(_ice_servers)] = Field(
        default=(),
        description=(
            "STUN and TURN servers: addresses between commas, or a JSON list of "
            '{"urls", "username", "credential"}. None are needed on one machine or one network.'
        ),
    )
    ice_loopback: bool = Field(
        default=False,
        description=(
            "Also offer 127.0.0.1 as an address for media, for clients on the same machine. "
            "Done anyhow where the server listens on a loopback address only."
        ),
    )
    video_bitrate_kbps: int | None = Field(
        default=None,
        ge=200,
        le=100_000,
        description=(
            "The most kilobits a second of the video sent to one client; unset is what the size of the picture needs: "
            "1500 for 640x480, 3400 for 1280x720. A link that carries less is noticed, and gets less."
        ),
    )
    turn_url: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_items)] = Field(
        default=(),
        description=(
            "Addresses of a coturn server with use-auth-secret (turn:turn.example.org:3478), between commas. "
            "Each client gets a password of its own, which expires after an hour."
        ),
    )
    turn_secret_file: str | None = Field(
        default=None, min_length=1, description="File that holds that secret, in place of LIVE_DIFFUSION_TURN_SECRET."
    )
    turn_secret: SecretStr | None = Field(
        default=None, description="The secret shared with that coturn server, its static-auth-secret."
    )
    public_ip: str | None = Field(
        default=None,
        description="Address at which clients reach this machine, if it is behind one-to-one NAT (cloud, container).",
    )
    udp_port_min: int | None = Field(
        default=None,
        ge=1024,
        le=65535,
        description="First UDP port for media, 1024 to 65535; unset takes any. A session needs one, on each address.",
    )
    udp_port_max: int | None = Field(default=None, ge=1024, le=65535, description="Last UDP port for media.")
    allowed_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_items)] = Field(
        default=(),
        description=(
            "Other web origins whose pages may use this server (https://example.org), between commas; * for any. "
            "The server's own page always may."
        ),
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_items)] = Field(
        default=(),
        description=(
            "Names by which clients reach this server (studio.local), between commas; * for any. IP addresses, "
            "localhost and the names in allowed_origins always work. Not asked where there is a token."
        ),
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_items)] = Field(
        default=(),
        description=(
            "Addresses or networks of reverse proxies (127.0.0.1), between commas: their X-Forwarded-For "
            "says whose limits count. Nobody else's is believed."
        ),
    )
    metrics: bool = Field(
        default=True, description="Answer Prometheus on /metrics, where the token is asked for if there is one."
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = Field(
        default="info", description="The least important messages to log."
    )
    log_format: Annotated[Literal["auto", "console", "json"], BeforeValidator(_lower)] = Field(
        default="auto", description="Form of the log; auto is console on a terminal and JSON lines elsewhere."
    )

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

    @field_validator("allowed_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            scheme, _, rest = origin.partition("://")
            if origin != "*" and (scheme not in ("http", "https") or not rest or "/" in rest):
                raise ValueError(f"{origin!r} is not an origin; write https://example.org, without a path, or *")
        return value

    @field_validator("auth_token")
    @classmethod
    def _can_be_sent(cls, value: SecretStr | None) -> SecretStr | None:
        token = value.get_secret_value() if value else ""
        fits = AUTH_TOKEN_SHORTEST <= len(token) <= AUTH_TOKEN_LONGEST and _TOKEN.fullmatch(token)
        if value is not None and not fits:
            kind = f"{AUTH_TOKEN_SHORTEST} to {AUTH_TOKEN_LONGEST} letters, digits and -._~+/"
            raise ValueError(f"must be {kind}; {_NEW_TOKEN}")
        return value

    @field_validator("allowed_hosts")
    @classmethod
    def _host_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for host in value:
            if not _HOST_NAME.fullmatch(host):
                raise ValueError(f"{host!r} is not a host name; write studio.local, without scheme and port, or *")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            try:
                ipaddress.ip_network(network)
            except ValueError:
                raise ValueError(f"{network!r} is not an IP address or network") from None
        return value

    @field_validator("turn_url")
    @classmethod
    def _turn_urls(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for url in value:
            if not url.startswith(("turn:", "turns:")):
                raise ValueError(f"{url!r} must start with turn: or turns:")
        return value

    @field_validator("turn_secret")
    @classmethod
    def _secret_with_url(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if bool(value and value.get_secret_value()) != bool(info.data.get("turn_url")):
            raise ValueError("turn_url and turn_secret go together: set both or neither")
        return value

    @field_validator("public_ip")
    @classmethod
    def _ip_address(cls, value: str | None) -> str | None:
        try:
            return value if value is None else str(ipaddress.ip_address(value))
        except ValueError:
            raise ValueError(f"{value!r} is not an IP address; a name does not do here") from None

    @field_validator("udp_port_max")
    @classmethod
    def _whole_range(cls, value: int | None, info: ValidationInfo) -> int | None:
        lowest = info.data.get("udp_port_min")
        if (value is None) != (lowest is None):
            raise ValueError("udp_port_min and udp_port_max go together: set both or neither")
        if value is not None and lowest is not None and value < lowest:
            raise ValueError(f"must not be below udp_port_min, {lowest}")
        return value

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches what listens on `host`."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def owner_token(self) -> str:
        """Empty where there is none."""
        return self.auth_token.get_secret_value() if self.auth_token else ""

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values that nobody may read anywhere."""
        held = [self.auth_token, self.turn_secret, *(server.credential for server in self.ice_servers)]
        return tuple(secret.get_secret_value() for secret in held if secret)

    @property
    def udp_ports(self) -> range | None:
        """The ports for media, or None for any."""
        if self.udp_port_min is None or self.udp_port_max is None:
            return None
        return range(self.udp_port_min, self.udp_port_max + 1)

    def session_settings(self, pipeline: str) -> Settings:
        """The settings with which a session of `pipeline` starts."""
        return Settings(pipeline=pipeline, **{name: getattr(self, name) for name in _SESSION_DEFAULTS})


EXPOSED = (
    "other machines reach this address, and anybody there could use the server. "
    f"Set {PREFIX}AUTH_TOKEN ({_NEW_TOKEN}), listen on 127.0.0.1, or say --insecure-public if that is meant"
)


class InvalidConfig(ValueError):
    """Values that the process cannot start with; the text names each, where it comes from and what is wrong."""


class _Sources(BaseSettings, Config):
    """`Config` read from the environment and the `.env` file, in that order, under the values given directly."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="ignore")

    @field_validator("auth_token", "turn_secret", mode="before")
    @classmethod
    def _from_file(cls, value: object, info: ValidationInfo) -> object:
        """What stands in the file of the setting `..._file`, as containers hand secrets over."""
        file = info.data.get(f"{info.field_name}_file")
        if file is None:
            return value
        if value is not None:
            raise ValueError(f"is set, and {info.field_name}_file too: keep one of them")
        try:
            return Path(file).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise ValueError(f"{info.field_name}_file cannot be read: {reason}") from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        assert isinstance(dotenv_settings, DotEnvSettingsSource)
        bare = DotEnvSettingsSource(settings_cls, env_file=dotenv_settings.env_file, env_prefix="")
        return init_settings, env_settings, dotenv_settings, bare


def load(flags: Mapping[str, object], env_file: Path = ENV_FILE) -> Config:
    """The configuration in force: `flags` over the environment over `env_file` over the defaults.

    Raises InvalidConfig, which names every bad value.
    """
    read: Callable[..., Config] = _Sources  # its declared signature leaves out pydantic-settings' own parameters
    try:
        config = Config.model_validate(dict(read(_env_file=env_file, **flags)))
    except ValidationError as error:
        lines = [_problem(item["loc"], item["msg"], flags, env_file) for item in error.errors()]
        raise InvalidConfig("\n".join(lines)) from None
    if not (config.is_local or config.auth_token or config.insecure_public):
        raise InvalidConfig(_problem(("host",), EXPOSED, flags, env_file))
    return config


def _problem(location: tuple[int | str, ...], message: str, flags: Mapping[str, object], env_file: Path) -> str:
    name = str(location[0])
    inside = "".join(f"[{part}]" for part in location[1:])
    return f"{_origin(name, flags, env_file)}{inside}: {message.removeprefix('Value error, ')}"


def _origin(name: str, flags: Mapping[str, object], env_file: Path) -> str:
    """Where the value of `name` comes from, in the words with which the user set it."""
    if name in flags:
        return f"--{name.replace('_', '-')}"
    prefixed = f"{PREFIX}{name}".upper()
    if prefixed in (key.upper() for key in os.environ):
        return f"{prefixed} in the environment"
    in_file = {key.upper() for key in dotenv_values(env_file)}
    if not in_file & {prefixed, name.upper()}:
        return prefixed  # set nowhere, where it should be
    return f"{prefixed if prefixed in in_file else name.upper()} in {env_file}"


def forget_secrets() -> None:
    """Take them out of this process's environment, once it is read: the worker inherits what is left, and no model
    library needs them."""
    for name in [name for name in os.environ if name.upper() in _SECRET]:
        del os.environ[name]


def unknown_names(env_file: Path = ENV_FILE) -> list[str]:
    """A sentence for each `LIVE_DIFFUSION_*` name, in the environment or `env_file`, that means nothing here."""
    known = [name.upper() for name in Config.model_fields]
    set_here = {key.upper() for key in (*os.environ, *dotenv_values(env_file))}
    names = {key.removeprefix(PREFIX) for key in set_here if key.startswith(PREFIX)}
    sentences = []
    for name in sorted(names.difference(known)):
        near = difflib.get_close_matches(name, known, n=1)
        sentences.append(f"{PREFIX}{name} is not a setting" + (f"; did you mean {PREFIX}{near[0]}?" if near else ""))
    return sentences
