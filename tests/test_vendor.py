"""What the page takes from others is exactly what vendor.json says, with its licence, and packed as it is plain."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from run import ROOT
from tools.generate import is_current, packed

FOLDER = ROOT / "static" / "vendor"
HEADINGS = {"MIT": "MIT License", "Apache-2.0": "Apache License"}


def test_every_file_is_listed_with_its_hash() -> None:
    listed = {name: digest for entry in _entries() for name, digest in entry["sha256"].items()}
    files = set(FOLDER.iterdir()) - packed().keys()
    here = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    del here["vendor.json"]
    assert listed == here


@pytest.mark.parametrize("path", packed(), ids=lambda path: path.name)
def test_what_is_packed_is_what_is_plain(path: Path) -> None:
    assert is_current(path, packed()[path]), "out of date: run `python tools/generate.py`"


def test_every_package_has_a_version_and_a_licence_text() -> None:
    for entry in _entries():
        assert entry["version"]
        (licence,) = (name for name in entry["sha256"] if name.endswith(".LICENSE.txt") and ".js." not in name)
        assert HEADINGS[entry["licence"]] in (FOLDER / licence).read_text()


def test_what_was_changed_is_all_that_was_changed() -> None:
    (redoc,) = (entry for entry in _entries() if "changed" in entry)
    for name, change in redoc["changed"].items():
        text = (FOLDER / name).read_bytes().decode()
        assert text.count(change["to"]) == 1
        before = text.replace(change["to"], change["from"])
        assert hashlib.sha256(before.encode()).hexdigest() == change["sha256_before"]


def _entries() -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads((FOLDER / "vendor.json").read_text())
    return entries
