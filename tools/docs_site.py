"""A hook of mkdocs (`mkdocs.yml`): what stands beside `docs/` is in the site too, as far as pages lead to it."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
BESIDE = (
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "bench/README.md",
    *(path.relative_to(ROOT).as_posix() for path in sorted(ROOT.glob("bench/results/*.md"))),
)
LINK = re.compile(r"(\]\()(?!https?:|mailto:|#)([^)#\s]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for name in BESIDE:
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links as they are right in the repository, to links as they are right in the site; the files they lead to."""
    beside = page.file.src_uri in BESIDE
    here = posixpath.dirname(page.file.src_uri if beside else f"docs/{page.file.src_uri}")

    def moved(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(here, match[2])).removeprefix("docs/")
        if target not in files.src_uris and (ROOT / target).is_file():
            files.append(File.generated(config, target, abs_src_path=str(ROOT / target)))
        return match[1] + posixpath.relpath(target, posixpath.dirname(page.file.src_uri) or ".")

    return LINK.sub(moved, markdown)
