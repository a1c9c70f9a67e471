"""The promises of docs/reliability.md, as `bench/reliability` measures them: small ones always, more of them in `slow`.

At night: `python -m bench.reliability --long`.
"""

from __future__ import annotations

import pytest

from bench.reliability.__main__ import PROMISES, measure
from bench.reliability.promise import Scale

# What is not built yet. A promise that is kept while it stands here fails, so that nobody forgets to take it out.
PENDING: dict[str, str] = {}

# Their small scale says enough before a merge; P11's is the replay of its corpora, in tests/fuzz.
SMALL = ("P1", "P9", "P12")


def marked(promise: str, *marks: pytest.MarkDecorator) -> object:
    pending = [pytest.mark.xfail(strict=True, reason=PENDING[promise])] if promise in PENDING else []
    return pytest.param(promise, marks=[*marks, *pending])


@pytest.mark.timeout(120)
@pytest.mark.parametrize("promise", [marked(name) for name in SMALL])
def test_small(promise: str) -> None:
    row = measure(promise, Scale.FAST)
    assert row.verdict == "pass", row


@pytest.mark.slow
@pytest.mark.timeout(420)
@pytest.mark.parametrize("promise", [marked(name) for name in PROMISES if name not in (*SMALL, "P11")])
def test_short(promise: str) -> None:
    row = measure(promise, Scale.SHORT)
    if row.verdict == "not run":
        pytest.skip(row.measured)
    assert row.verdict == "pass", row
