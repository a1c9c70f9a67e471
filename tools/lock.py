"""Write requirements.txt and requirements-dev.txt: the exact set of packages that pyproject.toml's ranges resolve to.

Run with the oldest supported Python, for a release that has dropped it must not be pinned. Needs a package index, and
takes a minute or two: `python tools/lock.py`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 11)

RUNTIME_HEADER = """\
# The complete set that runs without a GPU, exact to the version; for Python 3.11 to 3.13.
# Written by tools/lock.py from the ranges in pyproject.toml: change those, then run it.
"""
DEV_HEADER = """\
# What the checks and tests need on top, exact to the version. Written by tools/lock.py, as requirements.txt is.
-r requirements.txt
"""


def main() -> None:
    if sys.version_info[:2] != OLDEST:
        sys.exit(f"run this with Python {'.'.join(map(str, OLDEST))}, the oldest supported")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = Path(folder) / "bin" / "python"
        runtime = _resolve(python, project["dependencies"])
        both = _resolve(python, [*runtime, *project["optional-dependencies"]["dev"]])
    _write("requirements.txt", RUNTIME_HEADER, runtime)
    _write("requirements-dev.txt", DEV_HEADER, [line for line in both if line not in runtime])


def _resolve(python: Path, requirements: list[str]) -> list[str]:
    """Install `requirements` and say what stands there now, as `name==version`."""
    pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", *requirements], check=True)
    frozen = subprocess.run([*pip, "freeze"], check=True, capture_output=True, text=True).stdout.splitlines()
    if odd := [line for line in frozen if "==" not in line or "+" in line]:
        sys.exit(f"not a plain release: {', '.join(odd)}")
    return frozen


def _write(name: str, header: str, lines: list[str]) -> None:
    (ROOT / name).write_text(header + "".join(f"{line}\n" for line in lines))
    print(f"{name}: {len(lines)} packages")


if __name__ == "__main__":
    main()
