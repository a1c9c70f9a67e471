"""What the page takes from others is exactly what vendor.json says, with its licence."""

from __future__ import annotations

import hashlib
import json

from run import ROOT

FOLDER = ROOT / "static" / "vendor"


def test_every_file_is_listed_with_its_hash() -> None:
    listed = {name: digest for entry in _entries() for name, digest in entry["sha256"].items()}
    here = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in FOLDER.iterdir()}
    del here["vendor.json"]
    assert listed == here


def test_every_package_has_a_version_and_a_licence_text() -> None:
    for entry in _entries():
        assert entry["version"]
        (licence,) = (name for name in entry["sha256"] if "LICENSE" in name)
        assert f"{entry['licence']} License" in (FOLDER / licence).read_text()


def _entries() -> list[dict[str, dict[str, str]]]:
    entries: list[dict[str, dict[str, str]]] = json.loads((FOLDER / "vendor.json").read_text())
    return entries
