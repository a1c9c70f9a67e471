"""Fuzz one target: `python -m tests.fuzz.run --target sdp --seconds 600`. Exit code 1 if a promise was broken.

Coverage-guided where atheris is installed (`pip install -e '.[fuzz]'`, CPython on Linux), otherwise by mutation alone.
The input that broke it is left in the folder `--findings`. `settings` is hypothesis's, `ws` needs a server and brings
its own; those two count in `--messages`.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib.util
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

BY_MESSAGES = ("settings", "ws")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    targets = ("sdp", "image", "protocol", "rtp", "decoder", "plain_http")  # named before anything is imported
    parser.add_argument("--target", required=True, choices=(*targets, *BY_MESSAGES))
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--messages", type=int, default=20_000, help="of the targets settings and ws")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31))
    parser.add_argument("--plain", action="store_true", help="without atheris")
    parser.add_argument("--findings", type=Path, default=Path(tempfile.gettempdir()) / "live-diffusion-fuzz")
    parser.add_argument("--keep", type=Path, help="a folder for the inputs that reached something new (atheris)")
    options = parser.parse_args()
    sys.stdout.write(f"{options.target}: seed {options.seed}\n")
    if options.target == "settings":
        from tests.fuzz.settings_machine import run_machine

        run_machine(options.messages)
        report(target="settings", messages=options.messages)
    elif options.target == "ws":
        from tests.fuzz.ws_frames import storm

        report(target="ws", **storm(options.messages, options.seed))
    elif importlib.util.find_spec("atheris") and not options.plain:
        guided(options)
    else:
        plain(options.target, options.seconds, options.seed, options.findings)


def report(**figures: object) -> None:
    sys.stdout.write(json.dumps(figures) + "\n")


def guided(options: argparse.Namespace) -> None:
    """libFuzzer ends the process itself, with an exit code of its own if it found something."""
    import atheris

    with atheris.instrument_imports(include=["webrtc_server", "pipeline", "aiortc", "PIL"]):
        from tests.fuzz.targets import TARGETS, corpus
    target = TARGETS[options.target]
    options.findings.mkdir(parents=True, exist_ok=True)
    folder = options.keep or Path(tempfile.mkdtemp(prefix="live-diffusion-corpus-"))
    folder.mkdir(parents=True, exist_ok=True)
    for data in corpus(options.target):
        (folder / hashlib.sha1(data).hexdigest()[:16]).write_bytes(data)
    arguments = [
        f"-max_total_time={options.seconds}",
        f"-max_len={target.largest}",
        f"-seed={options.seed}",
        f"-artifact_prefix={options.findings}{os.sep}{options.target}-",
        "-rss_limit_mb=2048",
        "-timeout=20",
        "-print_final_stats=1",
        "-verbosity=1",
    ]
    atheris.Setup([sys.argv[0], *arguments, str(folder)], target, enable_python_coverage=True)
    atheris.Fuzz()


def plain(name: str, seconds: float, seed: int, findings: Path) -> None:
    """Mutate what there is, for `seconds`."""
    from tests.fuzz.targets import TARGETS, corpus

    chance, known, target = random.Random(seed), corpus(name), TARGETS[name]
    executions, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        data = mutated(chance, known)[: target.largest]
        executions += 1
        with kept(data, findings, name):
            target(data)
    report(target=name, seconds=seconds, executions=executions, seed=seed, findings=0)


@contextlib.contextmanager
def kept(data: bytes, findings: Path, name: str) -> Iterator[None]:
    """What breaks a promise is left in a file."""
    try:
        yield
    except BaseException:
        findings.mkdir(parents=True, exist_ok=True)
        path = findings / f"{name}-{hashlib.sha1(data).hexdigest()[:16]}"
        path.write_bytes(data)
        sys.stdout.write(f"broken by {path}\n")
        raise


def mutated(chance: random.Random, known: list[bytes]) -> bytes:
    """One of `known` with a few bytes, pieces or lines changed, repeated, taken away or brought in from another."""
    data = bytearray(chance.choice(known))
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        at = chance.randrange(len(data) + 1)
        length = min(len(data) - at, chance.choice((1, 1, 2, 4, 16, 64)))
        match chance.randrange(6):
            case 0:
                data[at : at + length] = chance.randbytes(length)
            case 1 if at < len(data):
                data[at] ^= 1 << chance.randrange(8)
            case 2:
                del data[at : at + length]
            case 3:
                data[at:at] = data[at : at + length] * chance.choice((1, 2, 50))
            case 4:
                other = chance.choice(known)
                begin = chance.randrange(len(other) + 1)
                data[at:at] = other[begin : begin + 4 * length]
            case 5:
                data[at : at + length] = chance.choice(
                    (b"\0", b"\xff" * 4, b"\x7f\xff", b"-1", b"1e999", b"\xed\xa0\x80")
                )
    return bytes(data)


if __name__ == "__main__":
    main()
