"""Frames a second, as fast as it goes: by steps, by sessions painted together, with CUDA graphs and without."""

from __future__ import annotations

from contextlib import closing

from bench.gpu.rig import Figures, Rig, Sessions

WAYS = ((1, "none"), (2, "none"), (4, "none"), (4, "full"))  # steps, guidance method


def steps(rig: Rig) -> Figures:
    """One session."""
    return {f"{name(*way)}_fps": fps(rig, rig.sessions(1, *way)) for way in WAYS}


def sd15(rig: Rig) -> Figures:
    """One session of Stable Diffusion 1.5 with LCM, as the catalogue runs it."""
    with closing(rig.load("sd15-lcm")) as engine:
        return {f"{name(4, 'self')}_fps": fps(rig, rig.sessions(1, 4, "self", engine))}


def batches(rig: Rig) -> Figures:
    """Several sessions of one step in each batch."""
    figures: Figures = {}
    for count in rig.scale.batches:
        seconds = rig.sessions(count).seconds(rig.scale.rounds) / rig.scale.rounds
        figures |= {f"batch_{count}_ms": 1000 * seconds, f"batch_{count}_fps": count / seconds}
    return figures


def steadiness(rig: Rig) -> Figures:
    """What the averages over time cost, one step, one session and the largest batch."""
    figures: Figures = {}
    for count in (1, rig.scale.batches[-1]):
        off, on = (fps(rig, rig.sessions(count, steadiness=value)) for value in (0.0, 0.6))
        figures |= {f"batch_{count}_off_fps": count * off, f"batch_{count}_on_fps": count * on}
        figures[f"batch_{count}_cost_percent"] = 100 * (1 - on / off)
    return figures


def graphs(rig: Rig) -> Figures:
    """One step, with every operation launched by itself and with all recorded; a CPU only rehearses the latter."""
    figures: Figures = {}
    for kind, recorded in (("eager", False), ("graphs", True)):
        with closing(rig.load("sd-turbo", graphs=recorded)) as engine:
            for count in rig.scale.batches:
                seconds = rig.sessions(count, engine=engine).seconds(rig.scale.rounds) / rig.scale.rounds
                figures[f"{kind}_batch_{count}_ms"] = 1000 * seconds
    return figures


def name(count: int, cfg_type: str) -> str:
    return f"steps_{count}_{cfg_type}"


def fps(rig: Rig, sessions: Sessions) -> float:
    return rig.scale.rounds / sessions.seconds(rig.scale.rounds)
