"""The shape of the code: import rules hold, and each source file says what it is.

`lint-imports` is run by `python run.py test` too; here a planted violation shows that each rule would catch one.
"""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from run import ROOT

SOURCES = sorted(
    path
    for folder in ("pipeline", "webrtc_server", "tools", "tests", "bench")
    for path in (ROOT / folder).rglob("*.py")
    if path.read_text().strip()
)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_says_what_it_is(path: Path) -> None:
    doc = ast.get_docstring(ast.parse(path.read_text()))
    assert doc, "a docstring at the head: what it does, what it never does, who calls it"


def planted(folder: Path, file: str, line: str) -> subprocess.CompletedProcess[str]:
    """What `lint-imports` says of a copy of the packages with `line` added to `file`."""
    for package in ("pipeline", "webrtc_server"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    source = folder / file
    source.write_text(f"{source.read_text()}\n{line}\n")
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("webrtc_server/limits.py", "import webrtc_server.web.app"),
        ("webrtc_server/media/pacer.py", "import webrtc_server.protocol.messages"),
        ("pipeline/frame.py", "import webrtc_server.limits"),
        ("pipeline/frame.py", "import pipeline.worker.client"),
        ("pipeline/worker/child.py", "import aiohttp"),
        ("webrtc_server/sessions/session.py", "import aiortc"),
        ("webrtc_server/sessions/session.py", "import aiohttp"),
        ("pipeline/worker/loop.py", "import onnxruntime"),
        ("webrtc_server/sessions/painters.py", "import torch"),
        ("pipeline/catalog.py", "import transformers"),
        ("pipeline/painting/look.py", "import streamdiffusion"),
        ("webrtc_server/media/pacer.py", "import time"),
        ("pipeline/policy/supervision.py", "import random"),
        ("webrtc_server/protocol/control.py", "import asyncio"),
    ],
)
def test_the_import_rules_catch(file: str, line: str, tmp_path: Path) -> None:
    result = planted(tmp_path, file, line)
    assert result.returncode == 1
    assert " BROKEN" in result.stdout, result.stdout


@pytest.mark.slow
def test_a_back_end_may_import_a_model_library(tmp_path: Path) -> None:
    assert planted(tmp_path, "pipeline/backends/identity.py", "import onnxruntime").returncode == 0
