"""The documents: what they point at exists, and the files they name are there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from run import ROOT

PAGES = sorted(path for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/*.md")))
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]+)(?:#[^)]*)?\)")
FILE = re.compile(r"`((?:[\w.-]+/)+[\w.-]*)`")
# What a file name may be relative to: documents write `rtc/track_in.py` for what is in the package they speak of.
BASES = ("", "webrtc_server", "pipeline")


def page_id(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page: Path) -> None:
    dead = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert dead == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=page_id)
def test_named_files_are_there(page: Path) -> None:
    named = {name for name in FILE.findall(page.read_text()) if not name.startswith(("http", "application/", "."))}
    missing = [name for name in sorted(named) if not any((ROOT / base / name).exists() for base in BASES)]
    assert missing == []


def test_every_package_has_its_line_in_the_architecture() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    packages = [
        ".".join(folder.relative_to(ROOT).parts)
        for root in ("pipeline", "webrtc_server")
        for folder in ((ROOT / root), *sorted((ROOT / root).iterdir()))
        if (folder / "__init__.py").exists() and folder != ROOT / "webrtc_server"
    ]
    assert [package for package in packages if f"| `{package}` |" not in text] == []
    assert len(text.splitlines()) < 200


def test_the_readme_starts_with_a_picture_and_the_two_commands() -> None:
    first_screen = (ROOT / "README.md").read_text().splitlines()[:40]
    text = "\n".join(first_screen)
    for part in ("python run.py  ", "python run.py test", "http://localhost:8000", "docs/pictures/page.png", "GPU"):
        assert part in text


def test_the_licence_is_whole() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_every_make_target_is_listed() -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert [line.split()[0] for line in listed.splitlines()] == targets


def test_the_image_runs_without_root_compiler_or_shell_form() -> None:
    text = (ROOT / "Dockerfile").read_text()
    stages = re.findall(r"^FROM \S+ AS (\S+)", text, re.MULTILINE)
    assert "cuda" in stages
    assert stages[-1] == "cpu", "the last stage is what a plain build makes"
    last = text[text.index("AS base") :]
    assert "build-essential" not in last
    assert "USER 10001" in last
    assert 'ENTRYPOINT ["live-diffusion"]' in last
    assert "/healthz" in last
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE)
    sources = [source for line in copied for source in line.split()]
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(sources) == allowed
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_the_workflow_runs_the_one_command() -> None:
    steps = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]["checks"]["steps"]
    assert steps[-1] == {"run": ".ci/run"}
    assert "run.py test" in (ROOT / ".ci" / "run").read_text()


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    """A page that is in no menu, a link or an anchor that leads nowhere is one."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert built.returncode == 0, built.stderr
    for page in ("index.html", "ARCHITECTURE.html", "howto/whip.html", "pictures/page.png"):
        assert (tmp_path / page).is_file()
