"""What was measured, as one JSON file for programs and one table for people."""

from __future__ import annotations

import json
import platform
import re
from dataclasses import asdict, dataclass, field
from datetime import date
from importlib import metadata
from pathlib import Path

import torch

from bench.gpu.rig import Figures

LIBRARIES = ("torch", "diffusers", "transformers", "streamdiffusion")


@dataclass(frozen=True)
class Section:
    seconds: float
    figures: Figures = field(default_factory=dict)
    failed: str | None = None  # why there are no figures


@dataclass(frozen=True)
class Report:
    device: str
    small: bool
    day: str
    versions: dict[str, str]
    sections: dict[str, Section]

    @property
    def failed(self) -> bool:
        return any(section.failed for section in self.sections.values())

    def write(self, folder: Path) -> list[Path]:
        """Both files, named after day and device."""
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"{self.day}-{re.sub(r'[^a-z0-9]+', '-', self.device.lower()).strip('-')}"
        texts = {"json": json.dumps(asdict(self), indent=1, allow_nan=False) + "\n", "md": self.table()}
        for ending, text in texts.items():
            (folder / f"{stem}.{ending}").write_text(text)
        return [folder / f"{stem}.{ending}" for ending in texts]

    def table(self) -> str:
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        lines = [f"# {self.day}, {self.device}", "", f"`bench/gpu/run.sh`{' `--small`' * self.small}; {versions}.", ""]
        lines += ["| Section | Figure | Value |", "| --- | --- | ---: |"]
        for name, section in self.sections.items():
            if section.failed:
                lines.append(f"| {name} | **failed** | {section.failed.replace('|', '/')} |")
            lines += [f"| {name} | {figure} | {_text(value)} |" for figure, value in section.figures.items()]
            lines.append(f"| {name} | (the section took, seconds) | {section.seconds:.1f} |")
        return "\n".join(lines) + "\n"


def new(device: torch.device, small: bool, sections: dict[str, Section]) -> Report:
    named = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU {platform.machine()}"
    versions = {"Python": platform.python_version()} | {name: metadata.version(name) for name in LIBRARIES}
    if torch.version.cuda:
        versions["CUDA"] = torch.version.cuda
    return Report(named, small, date.today().isoformat(), versions, sections)


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
