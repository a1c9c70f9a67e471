"""Where the files of the page are: beside the package in a checkout, inside it in an installed wheel."""

from __future__ import annotations

from pathlib import Path


def static_dir() -> Path:
    """The folder that holds index.html. Raises FileNotFoundError where neither place has it."""
    package = Path(__file__).resolve().parent
    for folder in (package / "static", package.parent / "static"):
        if (folder / "index.html").is_file():
            return folder
    raise FileNotFoundError("the page's files are missing: neither the package nor the checkout has static/index.html")
