"""The configuration: which source wins, what is refused and in which words."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.settings import Settings
from webrtc_server.config import PREFIX, Config, InvalidConfig, forget_secrets, load, unknown_names


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith(PREFIX):
            monkeypatch.delenv(name)


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    return tmp_path / ".env"


def test_defaults_without_any_source(env_file: Path) -> None:
    assert load({}, env_file) == Config()
    assert (Config().host, Config().port, Config().pipeline) == ("127.0.0.1", 8000, "auto")


def test_each_source_yields_to_the_one_above(env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env_file.write_text("PORT=1001\n")
    assert load({}, env_file).port == 1001
    env_file.write_text("PORT=1001\nLIVE_DIFFUSION_PORT=1002\n")
    assert load({}, env_file).port == 1002
    monkeypatch.setenv("LIVE_DIFFUSION_PORT", "1003")
    assert load({}, env_file).port == 1003
    assert load({"port": 1004}, env_file).port == 1004


def test_bare_names_count_in_the_file_only(env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMPT", "$P$G")
    monkeypatch.setenv("HOST", "build-machine")
    assert load({}, env_file) == Config()
    env_file.write_text("PROMPT=ukiyo-e wave\nDENOISING_STRENGTH=0.5\nUNRELATED=1\n")
    settings = load({}, env_file).session_settings("effects")
    assert (settings.prompt, settings.denoising_strength, settings.pipeline) == ("ukiyo-e wave", 0.5, "effects")


def test_an_empty_value_is_none_at_all(env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env_file.write_text("STEPS=\n")
    monkeypatch.setenv("LIVE_DIFFUSION_PORT", "")
    assert load({}, env_file) == Config()


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
        ("log_level", "loud", "'debug', 'info', 'warning' or 'error'"),
    ],
)
def test_a_bad_value_is_named_with_its_flag(name: str, value: object, says: str, env_file: Path) -> None:
    with pytest.raises(InvalidConfig) as caught:
        load({name: value}, env_file)
    assert str(caught.value).startswith(f"--{name.replace('_', '-')}")
    assert says in str(caught.value)


def test_every_bad_value_is_named_with_where_it_stands(env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env_file.write_text("WIDTH=500\nLIVE_DIFFUSION_HEIGHT=500\n")
    monkeypatch.setenv("LIVE_DIFFUSION_STEPS", "9")
    with pytest.raises(InvalidConfig) as caught:
        load({}, env_file)
    lines = str(caught.value).splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "LIVE_DIFFUSION_STEPS in the environment",
        f"WIDTH in {env_file}",
        f"LIVE_DIFFUSION_HEIGHT in {env_file}",
    ]


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


def test_unknown_names_are_told_with_the_nearest_known(env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVE_DIFFUSION_MAX_SESION", "3")
    env_file.write_text("LIVE_DIFFUSION_QQQQ=1\nLIVE_DIFFUSION_PORT=8001\nHOSTNAME=x\n")
    assert unknown_names(env_file) == [
        "LIVE_DIFFUSION_MAX_SESION is not a setting; did you mean LIVE_DIFFUSION_MAX_SESSIONS?",
        "LIVE_DIFFUSION_QQQQ is not a setting",
    ]


def test_frozen_and_strict_about_names() -> None:
    with pytest.raises(ValidationError):
        Config().port = 1
    with pytest.raises(ValidationError):
        Config(prot=1)  # type: ignore[call-arg]


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
    assert refused().endswith("AUTH_TOKEN: auth_token_file cannot be read: No such file or directory")


def test_secrets_do_not_stay_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LIVE_DIFFUSION_AUTH_TOKEN", "LIVE_DIFFUSION_TURN_SECRET", "live_diffusion_ice_servers"):
        monkeypatch.setenv(name, TOKEN)
    monkeypatch.setenv("LIVE_DIFFUSION_PORT", "8001")
    forget_secrets()
    assert [name for name in os.environ if name.upper().startswith(PREFIX)] == ["LIVE_DIFFUSION_PORT"]
    secret_fields = {name for name, field in Config.model_fields.items() if "Secret" in str(field.annotation)}
    assert secret_fields == {"auth_token", "turn_secret"}  # and those inside ice_servers
