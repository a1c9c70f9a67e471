"""P9, P11 and P12: random settings, fuzzed parsers, pictures that are traps."""

from __future__ import annotations

import asyncio
import io
import json
import random
import resource
import struct
import sys
import time
import zlib
from collections.abc import Callable
from typing import Any

from PIL import Image
from websockets.asyncio.client import connect

from bench.reliability.leaks import loopback_addresses
from bench.reliability.promise import Row, Scale, not_run, row
from bench.reliability.subject import Subject
from pipeline.errors import BadFrame, FrameTooLarge
from pipeline.picture_file import decode
from pipeline.settings import Settings
from run import ROOT

P9_TARGET = "settings all or nothing, versions right"
MESSAGES = {Scale.FAST: 400, Scale.SHORT: 4000, Scale.LONG: 20_000}
CONNECTIONS = 8
PACE = 0.022  # seconds between the messages of a connection, just under the server's rate
GOOD: dict[str, Callable[[random.Random], object]] = {
    "seed": lambda chance: chance.randrange(2**32),
    "guidance": lambda chance: round(chance.uniform(1, 10), 3),
    "denoising_strength": lambda chance: round(chance.random(), 3),
    "prompt": lambda chance: "".join(chance.choices("abc é漢😀", k=chance.randrange(1, 30))).strip() or "x",
    "steps": lambda chance: chance.randrange(1, 5),
    "fit": lambda chance: chance.choice(("crop", "letterbox", "stretch")),
    "width": lambda chance: 64 * chance.randrange(4, 17),
}
BAD: dict[str, tuple[object, ...]] = {
    "seed": (-1, 2**32, 1.5, "1", True),
    "guidance": (0.99, 10.01, "5"),
    "denoising_strength": (-0.01, 1.01, "0.5", False),
    "prompt": ("x" * 1001, "\x00", 5),
    "steps": (0, 5, 2.5),
    "fit": ("cropped", 1),
    "width": (255, 300, 1088),
    "colour": ("red",),
    "pipeline": ("../../x", 7),
}

P11_TARGET = "each fuzz target: 0 unhandled exceptions"
FUZZ_TARGETS = ("sdp", "image", "protocol", "rtp", "decoder", "settings", "ws")  # of tests/fuzz/run.py
FUZZ_BY_MESSAGES = {"settings": 1, "ws": 4}  # each of a server's frames costs four times a decision
FUZZ_PATIENCE = 300.0  # seconds, and twice what was asked for
FUZZ_SECONDS = {Scale.FAST: 2, Scale.SHORT: 15, Scale.LONG: 600}  # for each target

P12_TARGET = "each bad picture refused < 50 ms, < +50 MB"
REJECT_MS, REJECT_MB = 50.0, 50.0


async def settings(scale: Scale) -> Row:
    seed = random.SystemRandom().randrange(2**32)
    each = MESSAGES[scale] // CONNECTIONS
    async with Subject("identity", max_sessions=CONNECTIONS) as server:
        talks = [
            _talk(server.url, address, each, random.Random(seed + number))
            for number, address in zip(range(CONNECTIONS), loopback_addresses(), strict=False)
        ]
        wrong = [problem for problems in await asyncio.gather(*talks) for problem in problems]
    first = f"; first: {wrong[0]}" if wrong else ""
    measured = (
        f"{each * CONNECTIONS} random messages over {CONNECTIONS} connections, {len(wrong)} wrong (seed {seed}){first}"
    )
    return row("P9", P9_TARGET, measured, [not wrong], messages=each * CONNECTIONS, wrong=len(wrong), seed=seed)


async def _talk(url: str, address: str, count: int, chance: random.Random) -> list[str]:
    """What was answered otherwise than the rules say, which here are a dictionary."""
    wrong: list[str] = []
    async with connect(url.replace("http", "ws") + "/ws", local_addr=(address, 0)) as socket:
        model: dict[str, Any] = Settings().model_dump(mode="json")
        version = 0
        known = False
        for number in range(count):
            due = time.monotonic() + PACE
            patch = {name: GOOD[name](chance) for name in chance.sample(sorted(GOOD), chance.randrange(len(GOOD)))}
            bad = {name: chance.choice(BAD[name]) for name in chance.sample(sorted(BAD), chance.choice((0, 0, 1, 2)))}
            await socket.send(json.dumps({"type": "settings", "data": patch | bad, "id": str(number)}))
            reply = await _reply(socket.recv, str(number))
            if bad:
                fields = {field["field"] for field in reply["data"].get("fields", ())}
                if reply["type"] != "error" or fields != bad.keys():
                    wrong.append(f"{patch | bad} gave {reply}")
            elif reply["type"] != "settings_applied":
                wrong.append(f"{patch} gave {reply}")
            else:
                told = reply["data"]
                if not known:  # the server's own defaults
                    model, known = told["settings"] | {}, True
                    version = told["version"]
                    if any(told["settings"][name] != value for name, value in patch.items()):
                        wrong.append(f"{patch} gave {reply}")
                    continue
                changed = {name for name, value in patch.items() if model[name] != value}
                model |= patch
                version += bool(changed)
                if (told["settings"], told["version"], set(told["changed"])) != (model, version, changed):
                    wrong.append(f"{patch} gave {reply}")
            await asyncio.sleep(max(0.0, due - time.monotonic()))
    return wrong


async def _reply(receive: Callable[[], Any], message_id: str) -> dict[str, Any]:
    async with asyncio.timeout(35):
        while True:
            text = await receive()
            reply: dict[str, Any] = json.loads(text)
            if reply.get("id") == message_id:
                return reply


async def fuzz(scale: Scale) -> Row:
    """Each target of `tests/fuzz` in a process of its own, one after the other."""
    if not (ROOT / "tests/fuzz/run.py").exists():
        return not_run("P11", P11_TARGET, "no fuzz targets here")
    seconds, messages = FUZZ_SECONDS[scale], MESSAGES[scale]
    failed = []
    for target in FUZZ_TARGETS:
        how_much = (
            ("--messages", str(messages // FUZZ_BY_MESSAGES[target]))
            if target in FUZZ_BY_MESSAGES
            else ("--seconds", str(seconds))
        )
        command = [sys.executable, "-m", "tests.fuzz.run", "--target", target, *how_much]
        # Standard output is this table's.
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=sys.stderr)
        try:
            async with asyncio.timeout(2 * seconds + FUZZ_PATIENCE):
                if await process.wait():
                    failed.append(target)
        except TimeoutError:
            process.kill()
            await process.wait()
            failed.append(f"{target} (never ended)")
    targets, failures = ", ".join(FUZZ_TARGETS), ", ".join(failed) or "none"
    measured = f"{seconds} s or up to {messages} messages each of {targets}: {failures} failed"
    return row("P11", P11_TARGET, measured, [not failed], failed=failed, seconds=seconds, messages=messages)


async def images(scale: Scale) -> Row:
    """In a process of its own, whose greatest memory is nobody else's."""
    command = [sys.executable, "-m", "bench.reliability.hostile"]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    found: dict[str, Any] = json.loads(output)
    slowest = max(found["ms"], key=found["ms"].__getitem__)
    measured = f"{len(found['ms'])} kinds: at most {found['ms'][slowest]:.1f} ms ({slowest}), {found['mb']:+.1f} MB"
    facts = [found["mb"] < REJECT_MB, not found["accepted"]]
    return row("P12", P12_TARGET, measured, facts, [found["ms"][slowest] < REJECT_MS], **found)


def _file(image: Image.Image, kind: str, **options: bool) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _png_chunks(count: int) -> bytes:
    png = _file(Image.new("RGB", (16, 16)), "PNG")
    chunk = struct.pack(">I", 0) + b"teSt" + struct.pack(">I", zlib.crc32(b"teSt"))
    return png[:33] + chunk * count + png[33:]


def _lying_png() -> bytes:
    """The header says 1900x1000; the data is of one row, and there the file ends."""
    head = b"IHDR" + struct.pack(">IIBBBBB", 1900, 1000, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"\0" * 5701)
    chunks = (struct.pack(">I", len(each) - 4) + each + struct.pack(">I", zlib.crc32(each)) for each in (head, data))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def traps() -> dict[str, bytes]:
    photo = Image.effect_mandelbrot((1920, 1080), (-2, -1, 1, 1), 100).convert("RGB")
    jpeg = _file(photo, "JPEG")
    progressive = _file(photo, "JPEG", progressive=True)
    scan = progressive.rindex(b"\xff\xda")
    return {
        "PNG 9400x9400": _file(Image.new("1", (9400, 9400)), "PNG"),
        "PNG 13000x13000": _file(Image.new("1", (13000, 13000)), "PNG"),
        "PNG 20000x20000": _file(Image.new("1", (20000, 20000)), "PNG"),
        "PNG with 100,000 chunks": _png_chunks(100_000),
        "PNG that lies": _lying_png(),
        "JPEG cut in half": jpeg[: len(jpeg) // 2],
        "JPEG of 1000 scans": progressive[:-2] + progressive[scan:-2] * 1000 + b"\xff\xd9",
        "GIF": _file(photo, "GIF"),
        "TIFF": _file(photo, "TIFF"),
        "nothing": b"",
        "text": b"<svg/>" * 1000,
    }


def measure_traps() -> dict[str, object]:
    files = traps()
    decode(_file(Image.new("RGB", (64, 64)), "JPEG"))  # what is imported once
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    spent: dict[str, float] = {}
    accepted = []
    for name, data in files.items():
        begun = time.perf_counter()
        try:
            decode(data)
            accepted.append(name)
        except (BadFrame, FrameTooLarge):
            pass
        spent[name] = (time.perf_counter() - begun) * 1000
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {"ms": spent, "mb": more, "accepted": accepted}


if __name__ == "__main__":
    Image.MAX_IMAGE_PIXELS = None  # for making them
    sys.stdout.write(json.dumps(measure_traps()))
