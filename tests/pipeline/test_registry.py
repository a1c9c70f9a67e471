"""Which pipeline is chosen on which machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import registry
from pipeline.registry import ENTRIES, Entry, available, choose, has_gpu

HERE = Entry("here", "Here", "m:C", ("json",))
ABSENT = Entry("absent", "Absent", "m:C", ("json", "no_such_module"), "install it")


@pytest.fixture
def complete(monkeypatch: pytest.MonkeyPatch) -> None:
    """All libraries are installed."""
    monkeypatch.setattr(registry.Entry, "missing", lambda self: None)


@pytest.mark.parametrize(
    ("files", "there"),
    [
        ([], False),
        (["nvidiactl", "nvidia-uvm"], False),
        (["nvidia0", "nvidiactl"], True),
        (["nvidia11"], True),
        (["dxg"], True),
    ],
    ids=str,
)
def test_a_gpu_is_known_by_its_device_files(tmp_path: Path, files: list[str], there: bool) -> None:
    for name in files:
        (tmp_path / name).touch()
    assert has_gpu(tmp_path) is there


@pytest.mark.usefixtures("complete")
def test_diffusion_is_the_first_choice_where_there_is_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "has_gpu", lambda: True)
    choice = choose()
    assert (choice.name, choice.reason) == ("diffusion", "the best that runs on a GPU")
    assert list(available()) == list(ENTRIES)


@pytest.mark.usefixtures("complete")
def test_without_a_gpu_diffusion_runs_if_it_is_asked_for_and_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "has_gpu", lambda: False)
    assert choose() == registry.Choice("neural-style", "the best that runs without a GPU")
    assert "diffusion" not in available()
    assert choose("diffusion").name == "diffusion"
    assert list(available("diffusion")) == list(ENTRIES)


def test_what_is_not_installed_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "has_gpu", lambda: True)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "streamdiffusion" else object())
    assert choose().name == "neural-style"
    with pytest.raises(LookupError, match=r"streamdiffusion not installed; run `pip install '.\[diffusion\]'`"):
        choose("diffusion")


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
