"""P8: the real command is told to stop while people are connected."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time

import psutil

from bench.reliability.promise import Row, Scale, row
from tests.fakes.rtc_client import OfferRefused, RtcClient

TARGET = "SIGTERM: newcomers get 503 draining, all are told, exit 0 <= 30 s, no process left"
SESSIONS = 3
LIMIT = 30.0  # seconds


async def drain(scale: Scale) -> Row:
    command = [sys.executable, "-m", "webrtc_server", "serve", "--port", "0", "--pipeline", "identity", "--no-browser"]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout
    async with asyncio.timeout(30):
        while not (line := (await process.stdout.readline()).decode()).startswith("listening on "):
            pass
    url = line.split()[-1]
    clients: list[RtcClient] = []
    try:
        for _ in range(SESSIONS):
            client = RtcClient(url, 160, 120, fps=10)
            await client.connect()
            clients.append(client)
            await client.frames(3)
        family = psutil.Process(process.pid).children(recursive=True)
        stopped = time.monotonic()
        process.send_signal(signal.SIGTERM)
        told = [asyncio.create_task(_is_told(client)) for client in clients]
        refused = await _newcomer(url)
        try:
            async with asyncio.timeout(LIMIT + 15):
                code: int | None = await process.wait()
        except TimeoutError:
            code = None
        seconds = time.monotonic() - stopped
        were_told = sum(await asyncio.gather(*told))
    finally:
        for client in clients:
            await client.close()
        if process.returncode is None:
            process.kill()
            await process.wait()
    orphans = sum(each.is_running() for each in family)
    measured = (
        f"{were_told} of {SESSIONS} told, newcomer: {refused}, exit {code} after {seconds:.1f} s, {orphans} orphans"
    )
    facts = [were_told == SESSIONS, refused == "503 draining", code == 0, not orphans]
    return row(
        "P8", TARGET, measured, facts, [seconds <= LIMIT], told=were_told, refused=refused, code=code, seconds=seconds
    )


async def _is_told(client: RtcClient) -> bool:
    """Of the draining, while pictures go on."""
    try:
        await client.message("status", timeout=LIMIT, state="draining")
    except TimeoutError:
        return False
    return True


async def _newcomer(url: str) -> str:
    await asyncio.sleep(0.3)
    client = RtcClient(url, 160, 120)
    try:
        await client.connect()
    except OfferRefused as refused:
        return f"{refused.status} {refused.problem['code']}"
    except OSError as error:
        await client.close()
        return type(error).__name__
    await client.close()
    return "let in"
