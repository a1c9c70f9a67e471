"""The generated files are what the models say today."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.generate import ROOT, render
from webrtc_server.config import PREFIX, Config, Sources


@pytest.mark.parametrize("path", render(), ids=lambda path: str(path.relative_to(ROOT)))
def test_current(path: Path) -> None:
    assert path.read_text() == render()[path], "out of date: run `python tools/generate.py`"


def test_the_examples_are_read_without_complaint_and_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in Config.model_fields:
        monkeypatch.delenv(f"{PREFIX}{name}".upper(), raising=False)
    env, toml = tmp_path / ".env", tmp_path / "live-diffusion.toml"
    examples = (ROOT / ".env.example").read_text(), (ROOT / "docs" / "reference" / "live-diffusion.toml").read_text()
    for env_text, toml_text in (examples, [re.sub(r"(?m)^#(?=\w)", "", text) for text in examples]):
        env.write_text(env_text)
        toml.write_text(toml_text)
        sources = Sources({}, env, toml)
        assert sources.config() == Config()
        assert sources.unknown_names() == []
    assert sources.origins().keys() >= {"port", "prompt", "ice_servers"}  # the second time they were set


def test_the_reference_has_every_command() -> None:
    text = (ROOT / "docs" / "reference" / "cli.md").read_text()
    for command in ("serve", "client", "config show", "config init", "config check"):
        assert f"## `live-diffusion {command}`" in text
