"""The configuration: which source wins, what is refused and in which words."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.settings import Settings
from webrtc_server.config import PARTS, PREFIX, Config, InvalidConfig, Sources, forget_secrets, load, unknown_names


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # no file of the checkout decides what these tests see
    for name in os.environ:
        if name.upper().startswith(PREFIX):
            monkeypatch.delenv(name)


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    return tmp_path / "live-diffusion.toml"


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    return tmp_path / ".env"


def test_defaults_without_any_source(env_file: Path) -> None:
    assert load({}, env_file) == Config()
    assert (Config().host, Config().port, Config().pipeline) == ("127.0.0.1", 8000, "auto")


PLACES = ["--port", "LIVE_DIFFUSION_PORT in the environment", "LIVE_DIFFUSION_PORT in .env", "PORT in .env"]
PLACES += ["port in live-diffusion.toml"]


MATRIX = [set(places) for count in (1, 2, 5) for places in itertools.combinations(range(len(PLACES)), count)]


@pytest.mark.parametrize("places", MATRIX, ids=str)
def test_each_place_yields_to_those_above_it(
    places: set[int], env_file: Path, toml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every place alone, every two, and all: the value is the best one's, and so is what is said of it."""
    lines = {2: "LIVE_DIFFUSION_PORT=1002\n", 3: "PORT=1003\n"}
    env_file.write_text("".join(line for place, line in lines.items() if place in places))
    toml.write_text("port = 1004\n" if 4 in places else "")
    if 1 in places:
        monkeypatch.setenv("LIVE_DIFFUSION_PORT", "1001")
    flags = {"port": 1000} if 0 in places else {}
    sources = Sources(flags)
    assert sources.config().port == 1000 + min(places)
    assert str(sources.origin("port")) == PLACES[min(places)]
    assert sources.origins().keys() == {"port"}


def test_bare_names_count_in_the_file_only(env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMPT", "$P$G")
    monkeypatch.setenv("HOST", "build-machine")
    assert load({}, env_file) == Config()
    env_file.write_text("PROMPT=ukiyo-e wave\nDENOISING_STRENGTH=0.5\nUNRELATED=1\n")
    settings = load({}, env_file).session_settings("effects")
    assert (settings.prompt, settings.denoising_strength, settings.pipeline) == ("ukiyo-e wave", 0.5, "effects")


def test_an_empty_value_is_none_at_all(env_file: Path, toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env_file.write_text("STEPS=\n")
    monkeypatch.setenv("LIVE_DIFFUSION_PORT", "")
    toml.write_text('model = ""\n')
    assert load({}, env_file) == Config()
    toml.write_text('prompt = ""\n')  # where it is a value like others
    assert load({}, env_file).prompt == ""


def test_toml_has_values_of_all_kinds(toml: Path) -> None:
    toml.write_text(
        'prompt = "a fox"\nguidance = 1.5\ninsecure_public = true\nallowed_hosts = ["a.local", "b.local"]\n'
        'trusted_proxies = "127.0.0.1, 10.0.0.0/8"\n'
        '[[ice_servers]]\nurls = "turn:b.example"\nusername = "u"\ncredential = "hush"\n'
    )
    config = load({})
    assert (config.prompt, config.guidance, config.insecure_public) == ("a fox", 1.5, True)
    assert config.allowed_hosts == ("a.local", "b.local")
    assert config.trusted_proxies == ("127.0.0.1", "10.0.0.0/8")
    assert config.ice_servers[0].urls == ("turn:b.example",)
    assert config.secrets == ("hush",)


def test_another_toml_file_may_be_named(toml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml.write_text("port = 1001\n")
    other = tmp_path / "other.toml"
    other.write_text("port = 1002\n")
    assert load({"config": str(other)}).port == 1002
    monkeypatch.setenv("LIVE_DIFFUSION_CONFIG", "other.toml")
    assert load({}).port == 1002
    other.write_text('config = "live-diffusion.toml"\n')
    assert (load({}).port, Sources({}).unknown_names()) == (8000, ["config in other.toml is not a setting"])
    other.unlink()
    with pytest.raises(InvalidConfig) as caught:
        load({})
    assert str(caught.value) == "LIVE_DIFFUSION_CONFIG in the environment: there is no file other.toml"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("live-diffusion.toml", b"port = 1\nhost = nowhere\n", "Invalid value (at line 2, column 8)"),
        ("live-diffusion.toml", b"port = 1\nport = 2\n", "Cannot overwrite a value (at line 2, column 9)"),
        ("live-diffusion.toml", b"\xff", "can't decode byte 0xff"),
        (".env", b"PORT=\xff", "can't decode byte 0xff"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(name: str, content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidConfig) as caught:
        load({})
    assert str(caught.value).startswith(f"{name} cannot be read: ")
    assert says in str(caught.value)


def test_a_session_starts_with_the_defaults_of_the_settings() -> None:
    assert Config().session_settings("identity") == Settings()


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("port", 65536, "less than or equal to 65535"),
        ("port", "many", "valid integer"),
        ("pipeline", "magic", "must be one of: auto, "),
        ("width", 500, "multiple of 64"),
        ("steps", 5, "less than or equal to 4"),
        ("denoising_strength", 1.5, "less than or equal to 1"),
        ("prompt", "x" * 1001, "at most 1000 characters"),
        ("max_sessions", 0, "greater than or equal to 1"),
        ("ice_servers", "http://example.org", "must start with one of stun:"),
        ("turn_url", "stun:a.example", "must start with turn: or turns:"),
        ("turn_secret", "secret", "set both or neither"),
        ("public_ip", "example.org", "is not an IP address"),
        ("udp_port_max", "5000", "set both or neither"),
        ("udp_port_min", "80", "greater than or equal to 1024"),
        ("ice_servers", '[{"url', "is not valid JSON"),
        ("allowed_origins", "example.org", "is not an origin"),
        ("allowed_origins", "https://example.org/page", "is not an origin"),
        ("auth_token", "x" * 15, "must be 16 to 512 letters, digits"),
        ("auth_token", "x" * 513, "must be 16 to 512 letters, digits"),
        ("auth_token", "sixteen or more, but with blanks", "must be 16 to 512 letters, digits"),
        ("view_token_s", 59, "greater than or equal to 60"),
        ("view_token_s", 604_801, "less than or equal to 604800"),
        ("allowed_hosts", "https://studio.local", "is not a host name"),
        ("allowed_hosts", "studio.local:8000", "is not a host name"),
        ("trusted_proxies", "proxy.example", "is not an IP address or network"),
        ("trusted_proxies", "10.0.0.1/8", "is not an IP address or network"),
        ("vae", "huge", "'tiny' or 'full'"),
        ("attention", "flash", "'sdpa' or 'xformers'"),
        ("tls", "on", "must be off, auto, or a certificate and its key"),
        ("tls", "cert.pem,", "must be off, auto, or a certificate and its key"),
        ("tls", "a,b,c", "must be off, auto, or a certificate and its key"),
        ("log_level", "loud", "'debug', 'info', 'warning' or 'error'"),
    ],
)
def test_a_bad_value_is_named_with_its_flag(name: str, value: object, says: str, env_file: Path) -> None:
    with pytest.raises(InvalidConfig) as caught:
        load({name: value}, env_file)
    assert str(caught.value).startswith(f"--{name.replace('_', '-')}")
    assert says in str(caught.value)


def test_every_bad_value_is_named_with_where_it_stands(
    env_file: Path, toml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env_file.write_text("WIDTH=500\nLIVE_DIFFUSION_HEIGHT=500\n")
    monkeypatch.setenv("LIVE_DIFFUSION_STEPS", "9")
    toml.write_text('denoising_strength = 2\n[[ice_servers]]\nurls = ["stun:a.example", "http://a.example"]\n')
    with pytest.raises(InvalidConfig) as caught:
        load({}, env_file)
    assert [line.partition(":")[0] for line in caught.value.problems] == [
        "denoising_strength in live-diffusion.toml",
        "LIVE_DIFFUSION_STEPS in the environment",
        f"WIDTH in {env_file}",
        f"LIVE_DIFFUSION_HEIGHT in {env_file}",
        "ice_servers in live-diffusion.toml[0][urls]",
    ]


def test_a_list_cut_apart_tells_no_password_that_is_in_it(env_file: Path) -> None:
    torn = 'urls="turn:a.example", credential="hush"'
    for field in ("ice_servers", "turn_url"):
        with pytest.raises(InvalidConfig, match="must start with") as caught:
            load({field: torn}, env_file)
        assert "hush" not in str(caught.value)


def test_a_file_in_the_users_folder_and_one_that_cannot_be_looked_at(
    env_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.toml").write_text('tls = "~/a.pem,~/b.pem"\nauth_token_file = "~/token"\n')
    (tmp_path / "token").write_text("sixteen-letters.")
    config = load({"config": "~/mine.toml"}, env_file)
    assert config.tls_files == (tmp_path / "a.pem", tmp_path / "b.pem")
    assert config.auth_token is not None
    for flags in ({"config": "x" * 300}, {"config": "~nobody-at-all/x.toml"}):  # the system does not even look
        with pytest.raises(InvalidConfig, match=r"cannot be read: File name too long|there is no file"):
            load(flags, env_file)


def test_ice_servers_as_addresses_or_json(env_file: Path) -> None:
    plain = load({"ice_servers": "stun:a.example:3478, turn:b.example"}, env_file).ice_servers
    assert [server.urls for server in plain] == [("stun:a.example:3478",), ("turn:b.example",)]
    text = '["stun:a.example", {"urls": ["turn:b.example"], "username": "u", "credential": "secret"}]'
    full = load({"ice_servers": text}, env_file).ice_servers
    assert full[1].credential is not None
    assert full[1].credential.get_secret_value() == "secret"
    assert "secret" not in repr(full)


def test_allowed_origins_are_a_list(env_file: Path) -> None:
    assert load({"allowed_origins": "https://a.example, http://localhost:3000"}, env_file).allowed_origins == (
        "https://a.example",
        "http://localhost:3000",
    )


def test_unknown_names_are_told_with_the_nearest_known(
    env_file: Path, toml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVE_DIFFUSION_MAX_SESION", "3")
    toml.write_text("heigth = 1\nport = 8001\n[pictures]\nwidth = 1\n")
    env_file.write_text("LIVE_DIFFUSION_QQQQ=1\nLIVE_DIFFUSION_PORT=8001\nHOSTNAME=x\n")
    assert unknown_names(env_file) == [
        "LIVE_DIFFUSION_MAX_SESION is not a setting; did you mean LIVE_DIFFUSION_MAX_SESSIONS?",
        "LIVE_DIFFUSION_QQQQ is not a setting",
        "heigth in live-diffusion.toml is not a setting; did you mean height?",
        "pictures in live-diffusion.toml is not a setting",
    ]


def test_frozen_and_strict_about_names() -> None:
    with pytest.raises(ValidationError):
        Config().port = 1
    with pytest.raises(ValidationError):
        Config(prot=1)  # type: ignore[call-arg]


def test_every_setting_belongs_to_one_concern() -> None:
    fields = [name for part in PARTS.values() for name in part.model_fields]
    assert fields == list(Config.model_fields)


def test_tls_is_off_auto_or_two_files() -> None:
    assert (Config().scheme, Config(tls="AUTO").scheme, Config(tls="a.pem, b.pem").scheme) == ("http", "https", "https")
    assert Config(tls="a.pem, b.pem").tls_files == (Path("a.pem"), Path("b.pem"))
    assert Config(tls="auto").tls_files is None


def test_every_field_is_described() -> None:
    assert [name for name, field in Config.model_fields.items() if not field.description] == []


@pytest.mark.parametrize(("name", "other"), [("udp_port_min", "UDP_PORT_MAX"), ("turn_url", "TURN_SECRET")])
def test_what_is_missing_is_named(name: str, other: str, env_file: Path) -> None:
    with pytest.raises(InvalidConfig) as caught:
        load({name: "turn:5000" if name == "turn_url" else "5000"}, env_file)
    assert str(caught.value).startswith(f"{PREFIX}{other}: ")
    assert "set both or neither" in str(caught.value)


def test_port_range_is_whole_and_the_right_way_round(env_file: Path) -> None:
    assert load({"udp_port_min": 5000, "udp_port_max": 5001}, env_file).udp_ports == range(5000, 5002)
    assert Config().udp_ports is None
    with pytest.raises(InvalidConfig, match="must not be below udp_port_min, 5000"):
        load({"udp_port_min": 5000, "udp_port_max": 4999}, env_file)


def test_turn_secret_is_not_shown(env_file: Path) -> None:
    config = load({"turn_url": "turn:a.example", "turn_secret": "hush"}, env_file)
    assert config.turn_url == ("turn:a.example",)
    assert "hush" not in repr(config)


TOKEN = "sixteen-letters."


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_only_this_machine_needs_no_token(host: str, env_file: Path) -> None:
    assert load({"host": host}, env_file).is_local


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "fe80::1", "studio.local", "0", "127.0.0.1.example"])
def test_who_can_be_reached_says_who_may_come(host: str, env_file: Path) -> None:
    with pytest.raises(InvalidConfig) as caught:
        load({"host": host}, env_file)
    text = str(caught.value)
    assert text.startswith("--host: ")
    for way_out in ("LIVE_DIFFUSION_AUTH_TOKEN", "127.0.0.1", "--insecure-public", "secrets.token_urlsafe"):
        assert way_out in text
    enough: list[dict[str, Any]] = [{"auth_token": TOKEN}, {"insecure_public": True}]
    for answer in enough:
        assert not load({"host": host} | answer, env_file).is_local


def test_secrets_come_from_files(env_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "token"
    secret.write_text(f"{TOKEN}\n")
    monkeypatch.setenv("LIVE_DIFFUSION_AUTH_TOKEN_FILE", str(secret))
    config = load({"turn_url": "turn:a.example", "turn_secret_file": str(secret)}, env_file)
    assert config.secrets == (TOKEN, TOKEN)
    assert TOKEN not in repr(config)

    def refused(**flags: str) -> str:
        with pytest.raises(InvalidConfig) as caught:
            load(flags, env_file)
        return str(caught.value)

    assert "keep one of them" in refused(auth_token=TOKEN)
    for content, says in ((b"", "must be 16 to 512"), (b"hush", "must be 16 to 512"), (b"\xff" * 20, "it is no text")):
        secret.write_bytes(content)
        assert says in refused()
        assert "hush" not in refused()
    secret.unlink()
    assert refused() == (
        "LIVE_DIFFUSION_AUTH_TOKEN_FILE in the environment: auth_token_file cannot be read: No such file or directory"
    )


def test_secrets_come_from_files_that_toml_names(toml: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    toml.write_text('auth_token_file = "token"\nhost = "0.0.0.0"\n')
    assert load({}).owner_token == TOKEN
    assert str(Sources({}).origin("auth_token")) == "auth_token_file in live-diffusion.toml"


def test_secrets_do_not_stay_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LIVE_DIFFUSION_AUTH_TOKEN", "LIVE_DIFFUSION_TURN_SECRET", "live_diffusion_ice_servers"):
        monkeypatch.setenv(name, TOKEN)
    monkeypatch.setenv("LIVE_DIFFUSION_PORT", "8001")
    forget_secrets()
    assert [name for name in os.environ if name.upper().startswith(PREFIX)] == ["LIVE_DIFFUSION_PORT"]
    secret_fields = {name for name, field in Config.model_fields.items() if "Secret" in str(field.annotation)}
    assert secret_fields == {"auth_token", "turn_secret"}  # and those inside ice_servers
