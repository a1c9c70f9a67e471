"""All checks in the order in which they are read; each is run with a time limit, and unable to break the report."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from webrtc_server.config import Config
from webrtc_server.diagnosis import access, gpu, machine, model_cache, painting, ports, relays, software
from webrtc_server.diagnosis.finding import Finding, warning

PATIENCE = 15.0  # seconds for a check that does not say otherwise
NET_TIMEOUT = 60.0  # seconds for all STUN and TURN servers, each of which has some of its own


@dataclass(frozen=True)
class Check:
    """`look` answers at once or in `limit` seconds; it may block, for it runs in a thread of its own."""

    name: str
    look: Callable[[], Sequence[Finding]]
    limit: float = PATIENCE


def all_checks(config: Config, net: bool = False, quick: bool = False) -> list[Check]:
    """`net` asks servers elsewhere; `quick` starts no worker."""

    def check(name: str, look: Callable[[Config], list[Finding]], limit: float = PATIENCE) -> Check:
        return Check(name, partial(look, config), limit)

    checks = [
        check("system", software.system),
        check("libraries", software.libraries),
        check("memory", machine.memory),
        check("GPU driver", gpu.driver, gpu.DRIVER_TIMEOUT + 5),
        check("torch", gpu.torch, gpu.TORCH_TIMEOUT + 5),
        check("pipeline", painting.pipeline),
        check("models", model_cache.models),
        check("address", ports.http),
        check("UDP ports", ports.udp_range),
        check("UDP", ports.udp),
        check("STUN, TURN", relays.relays if net else relays.relays_unasked, NET_TIMEOUT),
        check("access", access.exposure),
        check("camera", access.camera),
    ]
    return checks if quick else [*checks, check("worker", painting.worker, painting.START_TIMEOUT + 10)]


def run(check: Check) -> list[Finding]:
    """What it finds. One that fails or takes too long says so; its thread is left behind, and ends with the process."""
    found: list[Finding] = []

    def look() -> None:
        try:
            found.extend(check.look())
        except Exception as error:  # a check is to tell what is wrong, not to be what is
            found.append(_failed(f"this check failed: {type(error).__name__}: {error}"))

    thread = threading.Thread(target=look, name=f"check {check.name}", daemon=True)
    thread.start()
    thread.join(check.limit)
    if thread.is_alive():
        return [_failed(f"no answer in {check.limit:.0f} s")]
    return found


def _failed(text: str) -> Finding:
    return warning(text, "Report it with the output of doctor --json; the other lines hold.")
