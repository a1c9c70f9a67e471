"""Which libraries these tests run with: a run with the current ones must not be one with the others by mistake."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import run

PINNED = [Requirement(line) for line in (run.ROOT / run.CURRENT).read_text().splitlines() if not line.startswith("#")]
OWN = ("diffusers", "transformers", "huggingface_hub", "tokenizers")  # of which there are other ones beneath


def test_the_current_libraries_are_those_in_use() -> None:
    if Path(sys.prefix).name != "current-diffusion":
        pytest.skip("this is not the environment with the current libraries")
    assert {one.name: version(one.name) for one in PINNED if version(one.name) not in one.specifier} == {}
    for name in OWN:
        assert str(import_module(name).__file__).startswith(sys.prefix), name
