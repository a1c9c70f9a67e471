"""What a promise's row says, and when the measuring fails: for facts always, for times at night only."""

from __future__ import annotations

import sys

import pytest

from bench.reliability import __main__ as reliability
from bench.reliability.promise import Scale, row


async def sound(scale: Scale) -> object:
    return row("P1", "flat", "flat", [True], [True])


async def late(scale: Scale) -> object:
    return row("P1", "soon", "late", [True], [False])


async def false(scale: Scale) -> object:
    return row("P1", "flat", "a leak", [False], [True])


async def broken(scale: Scale) -> object:
    raise RuntimeError("no server")


@pytest.mark.parametrize(
    ("measurement", "by_day", "at_night"), [(sound, 0, 0), (late, 0, 1), (false, 1, 1), (broken, 1, 1)]
)
def test_exit_codes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], measurement: object, by_day: int, at_night: int
) -> None:
    monkeypatch.setattr(reliability, "PROMISES", {"P1": measurement})
    for arguments, code in (["--fast"], by_day), (["--long"], at_night):
        monkeypatch.setattr(sys, "argv", ["reliability", *arguments])
        assert reliability.main() == code
    assert "P1" in capsys.readouterr().out
