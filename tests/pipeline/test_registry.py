"""Which pipelines can run here, and why the others cannot."""

from __future__ import annotations

import pytest

from pipeline import registry
from pipeline.registry import Entry, available, choose

HERE = Entry("here", "Here", "m:C", ("json",))
ABSENT = Entry("absent", "Absent", "m:C", ("json", "no_such_module"), "install it")


def test_missing_modules_are_named_with_what_to_do() -> None:
    assert HERE.missing() is None
    assert ABSENT.missing() == "no_such_module not installed; install it"


def test_the_first_that_can_run_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "ENTRIES", {entry.name: entry for entry in (ABSENT, HERE)})
    assert available() == {"here": "Here"}
    assert choose().name == "here"
    for name in ("absent", "unheard of"):
        with pytest.raises(LookupError, match=name):
            choose(name)
