"""`live-diffusion models`: what of the catalogue is here, and how it comes and goes. Nothing else can be named.

Only the diffusion pipeline has models; the CPU pipelines bring what they need. Exit codes: 0 done, 1 stopped or
not wanted after all, 2 the command line or configuration is wrong, 3 the hub gives no answer, the disk has no room, or
the extra `diffusion` is not installed.
"""

from __future__ import annotations

import difflib
import os
from contextlib import suppress
from importlib import util
from typing import Annotated

import typer

from pipeline.catalog import MODEL_DIR_VARIABLE, ModelSpec, Source, find, models
from pipeline.errors import BackendUnavailable
from pipeline.model_files import wanted_of
from pipeline.registry import ENTRIES, has_gpu
from webrtc_server.cli.config import read
from webrtc_server.cli.exits import Exit, fail
from webrtc_server.cli.table import show
from webrtc_server.config import Config

CPU_NEEDS_NONE = "The CPU pipelines (neural-style, effects) need none of these: they bring what they need."

app = typer.Typer(help="Models of the diffusion pipeline.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="KEY", help="As `models list` shows it.")]


@app.command("list")
def list_models() -> None:
    """Show what there is, and what is here."""
    settings = _configuration()
    default = settings.model or next(iter(models()))
    rows = [
        [f"{key} (default)" if key == default else key, spec.title, _size(spec), _place(spec, settings), spec.licence]
        for key, spec in models().items()
    ]
    show(("key", "title", "download", "here", "licence"), rows)
    if default not in models():
        typer.echo(f"Configured is {default}, which is not of the catalogue.")
    typer.echo(CPU_NEEDS_NONE)
    if not _has_client():
        typer.echo(f"The diffusion pipeline is not installed: {ENTRIES['diffusion'].advice}.")


@app.command()
def pull(
    key: Name,
    half: Annotated[
        bool | None, typer.Option("--half/--full", help="Precision; unless given, half where there is a GPU.")
    ] = None,
) -> None:
    """Fetch a model, or the rest of it.

    Each file is verified. Ctrl+C keeps what came, and the next pull goes on with it.
    """
    settings = _configuration()
    spec = _known(key)
    _need_client()
    from pipeline import hub  # here, so that --help answers at once
    from webrtc_server.cli.progress import ProgressBar

    typer.echo(f"{spec.title}, {spec.licence}\n{spec.notice}")
    precise = has_gpu() if half is None else half
    wanted = wanted_of(spec, precise, settings.vae == "tiny")
    try:
        with ProgressBar() as bar:
            hub.fetch(wanted, bar)
    except BackendUnavailable as error:
        fail(f"{error.message} {error.fix}", Exit.NOT_READY)
    except KeyboardInterrupt:
        fail(f"Stopped; `live-diffusion models pull {key}` goes on with what is here.", Exit.CRASHED)
    typer.echo(f"{key} is here: {_place(spec, settings)} in {hub.models_folder()}")


@app.command("rm")
def remove(key: Name, yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False) -> None:
    """Remove a model from the disk.

    What the configured model, or another that is here, shares with it stays.
    """
    settings = _configuration()
    spec = _known(key)
    _need_client()
    from pipeline import hub

    # Without its base what is here of the rest came with another model.
    gone = [source for source in _own(spec, settings) if hub.is_begun(source)] if hub.is_begun(spec.base) else []
    if not gone:
        typer.echo(f"{key} is not here.")
        return
    names = ", ".join(source.repo for source in gone)
    size = sum(map(hub.removed_by, gone))
    if not yes and not typer.confirm(f"Remove {names} ({_gigabytes(size)}) from {hub.models_folder()}?"):
        raise typer.Exit(Exit.CRASHED)
    try:
        for source in reversed(gone):  # the base last, so that what was cut short is known
            hub.remove(source)
    except OSError as error:
        fail(f"{error.filename or key} cannot be removed: {error.strerror}", Exit.NOT_READY)
    typer.echo(f"Removed {names}.")


@app.command()
def path() -> None:
    """Print where models are stored."""
    _configuration()
    _need_client()
    from pipeline import hub

    typer.echo(str(hub.models_folder()))


def _configuration() -> Config:
    """The configuration, of which the folder is handed on as the worker gets it."""
    _, settings = read({})
    if settings.model_dir is not None:
        os.environ[MODEL_DIR_VARIABLE] = settings.model_dir
    return settings


def _known(key: str) -> ModelSpec:
    if spec := models().get(key):
        return spec
    near = difflib.get_close_matches(key, models(), n=1)
    hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(models())}"
    fail(f"there is no model {key!r} in the catalogue; {hint}", Exit.INVALID)


def _own(spec: ModelSpec, settings: Config) -> list[Source]:
    """The repositories of `spec` that no other model reads: none of the catalogue that is here, nor a configured one
    that is not of the catalogue, of which nobody knows here what its branch stands for."""
    from pipeline import hub

    others = [other for other in models().values() if other.key != spec.key and hub.is_begun(other.base)]
    with suppress(BackendUnavailable):  # which the server will say
        if isinstance(used := find(settings.model), ModelSpec) and used.key not in models():
            others.append(used)
    shared = [source for other in others for source in other.sources]
    return [source for source in spec.sources if source not in shared]


def _has_client() -> bool:
    return util.find_spec("huggingface_hub") is not None


def _need_client() -> None:
    if not _has_client():
        fail(f"the hub's client is not installed: {ENTRIES['diffusion'].advice}. {CPU_NEEDS_NONE}", Exit.NOT_READY)


def _place(spec: ModelSpec, settings: Config) -> str:
    """Whether all that the server would read is on this disk, and how much is there."""
    if not _has_client():
        return "no"
    from pipeline import hub
    from webrtc_server.diagnosis.model_cache import is_here

    size = _gigabytes(sum(map(hub.disk_usage, spec.sources)))
    if is_here(settings, spec):
        return size
    return f"in part, {size}" if hub.is_begun(spec.base) else "no"


def _size(spec: ModelSpec) -> str:
    if spec.download is None:
        return "not known"
    return f"{spec.download.half} GB with a GPU, {spec.download.full} GB without"


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
