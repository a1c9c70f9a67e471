"""What a check says: a line, how bad it is, and what to do about it; and all of them together, as data for others.

Pure. `problem` is for what keeps the server from starting, or from doing what was asked of it; `warning` for what will
disappoint somebody.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """`fix` is one line, and there is one unless all is well."""

    level: Level
    text: str
    fix: str = ""

    def __post_init__(self) -> None:
        assert self.level == "ok" or self.fix


def ok(text: str) -> Finding:
    return Finding("ok", text)


def warning(text: str, fix: str) -> Finding:
    return Finding("warning", text, fix)


def problem(text: str, fix: str) -> Finding:
    return Finding("problem", text, fix)


class Line(BaseModel):
    """A finding, and the name of the check that made it."""

    check: str
    level: Level
    text: str
    fix: str


class Report(BaseModel):
    """What `doctor --json` prints; `level` is the worst of its lines."""

    version: str
    level: Level
    lines: list[Line]

    @classmethod
    def of(cls, version: str, lines: Sequence[Line]) -> Report:
        levels = {line.level for line in lines}
        level: Level = "problem" if "problem" in levels else "warning" if "warning" in levels else "ok"
        return cls(version=version, level=level, lines=list(lines))


def without_secrets(findings: Iterable[Finding], secrets: Sequence[str]) -> list[Finding]:
    """The findings, a secret in any text blotted out. None should be there: this is for what libraries say."""

    def blotted(text: str) -> str:
        for secret in secrets:
            text = text.replace(secret, "[secret]")
        return text

    return [Finding(finding.level, blotted(finding.text), blotted(finding.fix)) for finding in findings]
