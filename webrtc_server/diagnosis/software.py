"""Which Python, which platform, which versions of the libraries: what an issue needs first."""

from __future__ import annotations

import os
import platform
from importlib import metadata

from packaging.requirements import InvalidRequirement, Requirement

from webrtc_server.config import Config
from webrtc_server.diagnosis.finding import Finding, ok, problem, warning

DISTRIBUTION = "live-diffusion"
NEEDED = ("aiohttp", "aioice", "aiortc", "av", "numpy", "onnx", "onnxruntime", "pydantic", "simplejpeg")
AS_PINNED = "Install what is pinned: pip install -r requirements.txt, or python run.py."


def system(config: Config) -> list[Finding]:
    """The interpreter and the system. The worker is spoken to over a Unix socket, which Windows' Python lacks."""
    text = f"Python {platform.python_version()}, {platform.platform()}, {os.cpu_count()} cores"
    if os.name != "posix":
        return [problem(f"{text}: the picture process needs Linux or macOS", "Use WSL 2, or a container.")]
    return [ok(text)]


def libraries(config: Config) -> list[Finding]:
    """The versions, and those that are outside of what this program is made for, where it was installed by pip."""
    versions = {name: found for name in NEEDED if (found := _version(name)) is not None}
    findings = [ok(", ".join(f"{name} {version}" for name, version in versions.items()))]
    if missing := sorted(set(NEEDED) - set(versions)):
        findings.append(problem(f"not installed: {', '.join(missing)}", AS_PINNED))
    for wanted in requirements():
        found = versions.get(wanted.name)
        if found is not None and not wanted.specifier.contains(found, prereleases=True):
            findings.append(warning(f"{wanted.name} {found} is not what is tried, {wanted.specifier}", AS_PINNED))
    return findings


def requirements() -> list[Requirement]:
    """What the installed distribution asks for, its extras left out; empty in a checkout that is not installed."""
    try:
        asked = [Requirement(text) for text in metadata.requires(DISTRIBUTION) or ()]
    except (metadata.PackageNotFoundError, InvalidRequirement):
        return []
    return [wanted for wanted in asked if wanted.marker is None or wanted.marker.evaluate({"extra": ""})]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
