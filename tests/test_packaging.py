"""The wheel: what is in it, and that it serves its page from wherever it is installed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import urllib.request
import zipfile
from pathlib import Path

import pytest

from run import ROOT
from webrtc_server import __version__

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built with the hatchling of this environment, which needs no network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(ROOT)], check=True, capture_output=True, text=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's own files in a folder apart; what it depends on is this environment's."""
    folder = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), str(wheel)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return folder


def test_its_name_and_content(wheel: Path) -> None:
    assert wheel.name == f"live_diffusion-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    page = {f"webrtc_server/static/{path.relative_to(ROOT / 'static')}" for path in (ROOT / "static").rglob("*.*")}
    code = {
        str(path.relative_to(ROOT))
        for package in ("pipeline", "webrtc_server")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    info = {name for name in names if name.startswith(f"live_diffusion-{__version__}.dist-info/")}
    assert "webrtc_server/static/index.html" in page
    assert {"pipeline/py.typed", "webrtc_server/py.typed"} <= code
    assert names - info == page | code
    assert {Path(name).name for name in info} >= {"LICENSE", "NOTICE", "entry_points.txt"}


def test_its_command_and_what_it_says_of_itself(installed: Path) -> None:
    code = (
        "import importlib.metadata as m; d = m.distribution('live-diffusion'); print(d.metadata['Requires-Python']);"
        "print([e.value for e in d.entry_points if e.name == 'live-diffusion'])"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=installed, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert said == [">=3.11", "['webrtc_server.cli.main:main']"]


def test_it_serves_its_page_and_stops_cleanly(installed: Path, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LIVE_DIFFUSION_")}
    environment["PYTHONPATH"] = str(installed)
    server = subprocess.Popen(
        [sys.executable, "-P", "-m", "webrtc_server", "--port", "0", "--pipeline", "identity"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        for line in server.stdout:
            if match := re.search(r"listening on (https?://\S+)", line):
                break
        else:
            pytest.fail("the server ended before it listened")
        with urllib.request.urlopen(f"{match[1]}/", timeout=10) as answer:
            assert "<title>Live Diffusion</title>" in answer.read().decode()
        with urllib.request.urlopen(f"{match[1]}/static/js/main.js", timeout=10) as answer:
            assert answer.status == 200
        server.terminate()
        server.stdout.read()
        assert server.wait(timeout=30) == 0
    finally:
        server.kill()
        server.wait()
        assert server.stdout is not None
        server.stdout.close()


def test_pinned_requirements_are_within_the_ranges() -> None:
    """requirements.txt has every dependency, and requirements-dev.txt every development one."""
    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for file, ranges in (
        ("requirements.txt", project["dependencies"]),
        ("requirements-dev.txt", project["optional-dependencies"]["dev"]),
    ):
        lines = [line for line in (ROOT / file).read_text().splitlines() if line and line[0] not in "#-"]
        assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines), "exact versions only"
        pinned = {name.lower().replace("_", "-"): version for name, _, version in (x.partition("==") for x in lines)}
        for requirement in map(Requirement, ranges):
            version = pinned[requirement.name.lower().replace("_", "-")]
            assert version in requirement.specifier, f"{requirement} but {version} in {file}; run tools/lock.py"
