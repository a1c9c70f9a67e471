"""The folder of the diffusion models: can it be written, has it room, what is in it, and is the configured one."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from pipeline import catalog, registry
from pipeline.catalog import MODEL_DIR_VARIABLE, ModelSpec
from pipeline.errors import BackendUnavailable
from pipeline.model_files import wanted_of
from pipeline.registry import AUTO, choose, has_gpu
from webrtc_server.config import Config
from webrtc_server.diagnosis.finding import Finding, ok, problem, warning


def models(config: Config) -> list[Finding]:
    """Said of the diffusion pipeline only: the others have no models to fetch.

    The folder is where this process's environment says, as it is the worker's in a server.
    """
    try:
        chosen = registry.ENTRIES[choose(config.pipeline).name]
    except LookupError:
        return []
    if not chosen.has_models:
        return [ok(f"{chosen.name} needs no model files beside its package")]
    try:
        found = catalog.find(config.model)
    except BackendUnavailable as error:
        return [problem(error.message, error.fix)]
    if isinstance(found, Path):
        return [ok(f"the model is the folder {found}")]
    from pipeline import hub  # its client comes with the extra `diffusion`

    folder = hub.models_folder()
    room = why_not_writable(folder)
    kept = [key for key, spec in catalog.models().items() if is_here(config, spec)]
    held = f"models in {folder}: {', '.join(kept) or 'none'}"
    if is_here(config, found):
        return [ok(held if room is None else f"{held}; it can be read only ({room}), which is enough")]
    # With `auto` the server takes the next best; who asked for this one gets something else.
    hindrance = warning if config.pipeline == AUTO else problem
    if room is not None:
        text = f"models cannot be stored in {folder}: {room}"
        return [hindrance(text, f"Set {MODEL_DIR_VARIABLE} to another folder.")]
    return [ok(held), _to_fetch(found, folder, hindrance)]


def _to_fetch(spec: ModelSpec, folder: Path, hindrance: Callable[[str, str], Finding]) -> Finding:
    from pipeline import hub

    pull = f"Run: live-diffusion models pull {spec.key}"
    if spec.key not in catalog.models():
        pull = "Start the server once with network."
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return hindrance(f"{spec.key} is not here, and HF_HUB_OFFLINE forbids to fetch it", f"Unset it. {pull}")
    if spec.download is None:
        return warning(f"{spec.key} is not here; the first start fetches it", pull)
    whole = spec.download.half if has_gpu() else spec.download.full
    needed = max(0.0, whole - sum(map(hub.disk_usage, spec.sources)) / 1e9)  # of a download that was cut short
    free = shutil.disk_usage(_existing(folder)).free / 1e9
    if free < needed + hub.SPARE_DISK / 1e9:
        text = f"{spec.key} needs {needed:.1f} GB more, the disk of {folder} has {free:.1f} GB free"
        return hindrance(text, "Make room there.")
    return warning(f"{spec.key} is not here; the first start fetches up to {needed:.1f} GB ({free:.0f} GB free)", pull)


def is_here(config: Config, spec: ModelSpec) -> bool:
    from pipeline import hub  # its client comes with the extra `diffusion`

    wanted = wanted_of(spec, half=False, tiny_vae=config.vae == "tiny")
    return all(hub.find_here(one) for one in wanted)


def why_not_writable(folder: Path) -> str | None:
    """Why no file can be made in `folder`, which need not be there yet; None if one can. Leaves nothing behind."""
    try:
        with tempfile.TemporaryFile(dir=_existing(folder)):
            return None
    except OSError as error:
        return error.strerror or type(error).__name__


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())
