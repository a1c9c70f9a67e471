"""The generated files are what the models say today."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.generate import ROOT, render


@pytest.mark.parametrize("path", render(), ids=lambda path: str(path.relative_to(ROOT)))
def test_current(path: Path) -> None:
    assert path.read_text() == render()[path], "out of date: run `python tools/generate.py`"


def test_the_example_is_read_without_complaint_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from webrtc_server.config import PREFIX, Config, load, unknown_names

    for name in Config.model_fields:
        monkeypatch.delenv(f"{PREFIX}{name}".upper(), raising=False)
    example = ROOT / ".env.example"
    assert load({}, example) == Config()
    everything = tmp_path / ".env"
    everything.write_text(example.read_text().replace(f"#{PREFIX}", PREFIX))
    assert load({}, everything) == Config()
    assert unknown_names(everything) == []
