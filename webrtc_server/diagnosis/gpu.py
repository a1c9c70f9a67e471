"""The GPU, as its driver and as torch see it. torch is asked in a process of its own: a broken one crashes that."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib import util

from pydantic import BaseModel, ValidationError

from pipeline.registry import ENTRIES, has_gpu
from webrtc_server.config import Config
from webrtc_server.diagnosis.finding import Finding, ok, warning
from webrtc_server.web.app import worker_environment

DRIVER_TIMEOUT = 10.0  # seconds; a driver that hangs never answers
TORCH_TIMEOUT = 60.0  # seconds; from a cold disk the import takes twenty
SMI = ("--query-gpu=name,driver_version,memory.total,memory.used", "--format=csv,noheader")
ASK_TORCH = """
import json, torch
there = torch.cuda.is_available()
gpus = [(torch.cuda.get_device_name(n), *torch.cuda.mem_get_info(n)) for n in range(torch.cuda.device_count())]
facts = {"version": torch.__version__, "cuda": torch.version.cuda, "available": there, "gpus": gpus if there else []}
print(json.dumps(facts))
"""
INSTALL = f"{ENTRIES['diffusion'].advice[0].upper()}{ENTRIES['diffusion'].advice[1:]}."


class Torch(BaseModel):
    """What torch says of itself; a GPU is its name, and bytes of memory free and in all."""

    version: str
    cuda: str | None
    available: bool
    gpus: list[tuple[str, int, int]]


def driver(config: Config) -> list[Finding]:
    """What NVIDIA's own tool says."""
    if not has_gpu():
        return [ok("no NVIDIA GPU here")]
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return [warning("a GPU is here, but no nvidia-smi", "In a container: start it with all driver capabilities.")]
    try:
        done = subprocess.run((tool, *SMI), capture_output=True, text=True, timeout=DRIVER_TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return [warning("the GPU's driver gives no answer", "Restart the machine, or install the driver again.")]
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    if done.returncode or not lines:
        said = (lines or done.stderr.splitlines() or ["nothing"])[0]
        return [
            warning(f"the GPU's driver does not work: {said}", "Install the driver again, and restart the machine.")
        ]
    return [ok(f"GPU {number}: {line} used (name, driver, memory)") for number, line in enumerate(lines)]


def torch(config: Config) -> list[Finding]:
    """Whether torch is here, can be imported, and finds the GPU that is configured."""
    if util.find_spec("torch") is None:
        if has_gpu():
            return [warning("a GPU is here, but torch is not installed: no diffusion", INSTALL)]
        return [ok("torch is not installed; only the diffusion pipeline needs it")]
    try:
        done = subprocess.run(
            (sys.executable, "-c", ASK_TORCH),
            capture_output=True,
            text=True,
            timeout=TORCH_TIMEOUT,
            check=False,
            env=os.environ | worker_environment(config),
        )
        facts = Torch.model_validate_json(done.stdout.strip().rpartition("\n")[2])
    except subprocess.TimeoutExpired:
        return [warning(f"torch could not be imported in {TORCH_TIMEOUT:.0f} s", INSTALL)]
    except ValidationError:
        said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return [warning(f"torch is installed and broken: {said}", INSTALL)]
    text = f"torch {facts.version}, CUDA {facts.cuda or 'not built in'}, torch.cuda.is_available() {facts.available}"
    if facts.available:
        cards = [f"{name} with {free / 1e9:.1f} of {total / 1e9:.1f} GB free" for name, free, total in facts.gpus]
        return [ok(f"{text}: {', '.join(cards)}")]
    if not has_gpu():
        return [ok(text)]
    if facts.cuda is None:
        return [
            warning(f"{text}: this build of torch knows no GPU", "pip install --force-reinstall torch, CUDA's build.")
        ]
    return [
        warning(
            f"{text}: torch finds no GPU {config.gpu_device}",
            "Check LIVE_DIFFUSION_GPU_DEVICE and CUDA_VISIBLE_DEVICES, and that the driver is as new as torch's CUDA.",
        )
    ]
