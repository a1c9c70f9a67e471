"""What the page's translations must know of the server: its errors, and the names of its settings."""

from __future__ import annotations

import re

import pytest

from pipeline.settings import Settings
from run import ROOT
from webrtc_server.protocol.error_codes import Code

KEYS = {
    path.stem: set(re.findall(r'^  "?([\w./-]+)"?:', path.read_text(), re.MULTILINE))
    for path in (ROOT / "static" / "texts").glob("*.js")
}


@pytest.mark.parametrize("language", KEYS.keys() - {"en"})  # the server speaks English itself
def test_a_translation_knows_every_error_and_every_setting(language: str) -> None:
    keys = KEYS[language]
    assert {f"problem.{code}" for code in Code} - keys == set()
    settings = {f"setting.{name}{part}" for name in Settings.model_fields for part in ("", ".hint")}
    assert settings - keys == set()
    open_groups = {"prompt", "pipeline"}  # without a heading
    groups = {Settings.model_json_schema()["properties"][name]["group"] for name in Settings.model_fields}
    assert {f"group.{name}" for name in groups - open_groups} - keys == set()
