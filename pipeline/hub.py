"""Brings model files from the model hub: those that are wanted and no others, with progress in bytes, each verified.

Over huggingface_hub, whose cache holds them. What is complete in the cache under a commit needs no network, and what
is complete otherwise serves where the hub gives no answer. Never reads a model, and no error of its own tells a URL,
which may hold a password. Called by the diffusion pipeline's loader, in its thread, and by the command line.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from huggingface_hub import DeleteCacheStrategy, HfApi, constants, hf_hub_download, scan_cache_dir
from huggingface_hub.utils import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    disable_progress_bars,
    tqdm,
)
from huggingface_hub.utils import logging as hub_logging

from pipeline.backend import Progress, Report
from pipeline.catalog import MODEL_DIR_VARIABLE, Source
from pipeline.errors import BackendUnavailable
from pipeline.model_files import Wanted

logger = logging.getLogger(__name__)

ENDPOINT_VARIABLE = "HF_ENDPOINT"  # another address of the hub; the client itself reads it once, at its import
COMMIT = re.compile(r"[0-9a-f]{40}")
CHECKSUM = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")

HUB_TIMEOUT = 10.0  # seconds for the hub to answer a question; for data the client's HF_HUB_DOWNLOAD_TIMEOUT holds
REPORT_INTERVAL = 0.25  # seconds: what an eye takes for steady
ATTEMPTS = 4  # in a row that bring nothing new of a file, before it is given up
PAUSE = 1.0  # seconds before the next attempt
CHUNK = 1 << 20  # bytes that the client writes at a time; its 10 MiB are seconds of a slow line, lost in a cut
SPARE_DISK = 200_000_000  # bytes to leave free for everything else on the machine
# What a folder that cannot be written to answers.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR})


@dataclass(frozen=True)
class RemoteFile:
    name: str
    size: int  # bytes
    git_hash: str
    sha256: str | None  # of a large file only

    def is_same(self, path: Path) -> bool:
        """Whether the file at `path` is this one, to the last byte."""
        with path.open("rb") as content:
            if self.sha256:
                return hashlib.file_digest(content, "sha256").hexdigest() == self.sha256
            as_in_git = b"blob %d\0" % self.size + content.read()
            return hashlib.sha1(as_in_git, usedforsecurity=False).hexdigest() == self.git_hash


@dataclass(frozen=True)
class Snapshot:
    """A repository at one commit, as the hub lists it. `cache` is its folder in the hub client's cache."""

    repo: str
    revision: str
    commit: str
    cache: Path
    files: tuple[RemoteFile, ...]

    @property
    def folder(self) -> Path:
        return self.cache / "snapshots" / self.commit

    def remember(self) -> None:
        """Note that all files are here, so that `revision` can be found without the hub."""
        note = self.cache / "refs" / self.revision
        if self.revision != self.commit and _text(note) != self.commit:  # so that it may lie on a read-only disk
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(self.commit)

    def drop(self, file: RemoteFile) -> None:
        """Take `file` out of the cache, whole or in part, so that it is fetched anew."""
        path = self.folder / file.name
        for one in {path.resolve(), path, *self._blobs(file)}:
            one.unlink(missing_ok=True)

    def tidy(self, file: RemoteFile) -> None:
        """Take away what starts that were killed left of `file`: the newer client does not go on with it."""
        for path in self._blobs(file):
            if path.suffix == ".incomplete":
                path.unlink(missing_ok=True)

    def bytes_here(self, file: RemoteFile) -> int:
        """How much of `file` is here, of a half download too."""
        if (self.folder / file.name).exists():
            return file.size
        sizes = [0]
        for path in self._blobs(file):
            try:
                sizes.append(path.stat().st_size)
            except FileNotFoundError:  # complete in this moment, and so renamed
                sizes.append(file.size)
        return min(file.size, max(sizes))

    def _blobs(self, file: RemoteFile) -> list[Path]:
        """The content of `file`: one version of the client adds .incomplete to its name meanwhile, one more than it."""
        return list((self.cache / "blobs").glob(f"{file.sha256 or file.git_hash}*"))


def fetch(wanted: Sequence[Wanted], report: Report) -> list[Path]:
    """The folders with the files of each `wanted`, in order; what is not here yet is fetched.

    Reports the stage `download` in bytes, over all of them together, if anything has to be fetched. Raises
    BackendUnavailable: no answer, a missing or wrong file, no room.
    """
    disable_progress_bars()  # the log is no terminal
    tqdm.monitor_interval = 0  # nor does a bar that is not shown need its thread
    hub_logging.set_verbosity_error()  # its warnings tell URLs; what matters is logged here
    constants.DOWNLOAD_CHUNK_SIZE = CHUNK
    found = [_find(one) for one in wanted]
    snapshots = [one for one in found if isinstance(one, Snapshot)]
    files = [(snapshot, file) for snapshot in snapshots for file in snapshot.files]

    def bytes_here() -> int:
        return sum(snapshot.bytes_here(file) for snapshot, file in files)

    total = sum(file.size for _, file in files)
    if missing := [(snapshot, file) for snapshot, file in files if not (snapshot.folder / file.name).exists()]:
        _check_room(total - bytes_here())
        with _reported(bytes_here, total, report):
            for snapshot, file in missing:
                _download(snapshot, file)
    for snapshot in snapshots:
        snapshot.remember()
    return [one.folder if isinstance(one, Snapshot) else one for one in found]


def _find(wanted: Wanted) -> Snapshot | Path:
    """The files as the hub lists them; or their folder, if all are here and the hub need not or cannot be asked."""
    source = wanted.source
    cached = find_here(wanted)
    if cached and COMMIT.fullmatch(source.revision):
        return cached
    api = HfApi(endpoint=os.environ.get(ENDPOINT_VARIABLE) or None)
    try:
        info = api.model_info(source.repo, revision=source.revision, files_metadata=True, timeout=HUB_TIMEOUT)
        listed = {sibling.rfilename: sibling for sibling in info.siblings or ()}
    except Exception as error:  # the client raises errors of several HTTP libraries
        if cached:
            logger.warning("the model hub gave no answer (%s): %s is taken from %s", _word(error), source.repo, cached)
            return cached
        raise _refused(source, error) from None
    try:
        names = wanted.choose(frozenset(listed))
    except FileNotFoundError as error:
        raise BackendUnavailable(
            f"{source.repo} has no file {error} at revision {source.revision}.",
            "Choose a repository in diffusers' layout with safetensors files.",
        ) from None
    files = []
    for one in (listed[name] for name in names):
        sha256 = one.lfs.sha256 if one.lfs else None
        hashes = (info.sha, one.blob_id, sha256 or one.blob_id)  # of which names of files in the cache are made
        if one.size is None or not all(CHECKSUM.fullmatch(str(text)) for text in hashes):
            raise BackendUnavailable(
                f"The model hub tells no size or no checksum of {one.rfilename} of {source.repo}.",
                f"Check the mirror that {ENDPOINT_VARIABLE} names.",
            )
        files.append(RemoteFile(one.rfilename, one.size, one.blob_id, sha256))
    snapshot = Snapshot(source.repo, source.revision, str(info.sha), _cache_of(source.repo), tuple(files))
    for file in files:  # cut short by a full disk or a copy, say
        path = snapshot.folder / file.name
        if path.exists() and path.stat().st_size != file.size:
            logger.warning("%s of %s has a wrong size and is fetched anew", file.name, source.repo)
            snapshot.drop(file)
    return snapshot


def _cache_of(repo: str) -> Path:
    return models_folder() / f"models--{repo.replace('/', '--')}"


def models_folder() -> Path:
    """Where models are stored: LIVE_DIFFUSION_MODEL_DIR, else the hub client's own cache."""
    return Path(os.environ.get(MODEL_DIR_VARIABLE) or constants.HF_HUB_CACHE).expanduser().absolute()


def find_here(wanted: Wanted) -> Path | None:
    """The folder in the cache with all that is wanted, or None.

    The weights, which are fetched last, stand for what is small.
    """
    cache, commit = _cache_of(wanted.source.repo), wanted.source.revision
    if not COMMIT.fullmatch(commit):
        commit = _text(cache / "refs" / commit)
    folder = cache / "snapshots" / commit
    there = frozenset(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    try:
        wanted.choose(there)
    except FileNotFoundError:
        return None
    return folder


def is_begun(source: Source) -> bool:
    """Whether anything of this commit is in the cache. Of a download that ended in its first file none is known."""
    cache = _cache_of(source.repo)
    commits = {path.name for path in (cache / "snapshots").glob("*")}
    return source.revision in commits or (cache.exists() and not commits)


def disk_usage(source: Source) -> int:
    """Bytes that the repository takes in the cache, with other commits and half downloads."""
    files = (path for path in _cache_of(source.repo).rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files)


def removed_by(source: Source) -> int:
    """Bytes that `remove` would free."""
    return plan.expected_freed_size if (plan := _plan_to_remove(source)) else disk_usage(source)


def remove(source: Source) -> None:
    """Take the repository's commit out of the cache, and with the last one everything of it. Raises OSError.

    `source` names a commit: what a branch stands for is not known here.
    """
    cache = _cache_of(source.repo)
    if plan := _plan_to_remove(source):
        plan.execute()
        if (cache / "snapshots" / source.revision).exists():  # of what it cannot read it only warns
            raise OSError(errno.EIO, "the cache is not as the hub's client made it", str(cache))
    else:
        shutil.rmtree(cache)
        shutil.rmtree(models_folder() / ".locks" / cache.name, ignore_errors=True)


def _plan_to_remove(source: Source) -> DeleteCacheStrategy | None:
    """What of the repository goes with the commit; None where nothing stays."""
    cache = _cache_of(source.repo)
    if all(path.name == source.revision for path in (cache / "snapshots").glob("*")):
        return None
    scan = scan_cache_dir(models_folder())  # other commits are other programs' perhaps
    # The client takes the first repository that has the commit, and copies of one on the hub share theirs.
    own = frozenset(one for one in scan.repos if one.repo_path.resolve() == cache.resolve())
    return replace(scan, repos=own).delete_revisions(source.revision)


def _text(path: Path) -> str:
    """What `path` says; nothing if it is not there."""
    try:
        return path.read_text()
    except OSError:
        return ""


def _check_room(needed: int) -> None:
    """Raises BackendUnavailable if `needed` bytes do not fit on the disk."""
    folder = models_folder()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if needed + SPARE_DISK > free:
        raise BackendUnavailable(
            f"The model needs {needed / 1e9:.1f} GB more on the disk of {folder}, which has {free / 1e9:.1f} GB free.",
            f"Make room, or set {MODEL_DIR_VARIABLE} to a folder on a larger disk.",
        )


@contextmanager
def _reported(count: Callable[[], int], total: int, report: Report) -> Iterator[None]:
    """While inside, `report` hears of `count` a few times a second, whenever it has risen."""
    ended = threading.Event()

    def tell() -> None:
        most, last = -1, False
        while True:
            if (done := count()) > most:  # a client that starts a file again has less of it
                most = done
                report(Progress("download", done, total, "bytes"))
            if last:
                return
            last = ended.wait(REPORT_INTERVAL)  # and once more at the end

    teller = threading.Thread(target=tell, name="download progress")
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()


def _download(snapshot: Snapshot, file: RemoteFile) -> None:
    """Fetch and verify `file`, going on where the connection was cut. Raises BackendUnavailable."""
    left = ATTEMPTS
    while True:
        before = snapshot.bytes_here(file)
        try:
            path = hf_hub_download(
                snapshot.repo,
                file.name,
                revision=snapshot.commit,
                cache_dir=models_folder(),
                endpoint=os.environ.get(ENDPOINT_VARIABLE) or None,
                etag_timeout=HUB_TIMEOUT,
            )
            break
        except Exception as error:  # the client raises errors of several HTTP libraries
            if snapshot.bytes_here(file) >= file.size:  # too much came, which no further attempt would mend
                snapshot.drop(file)
            here = snapshot.bytes_here(file)
            left = ATTEMPTS if here > before else left - 1
            if _is_final(error) or not left:
                raise _failed(snapshot, file, error) from None
            logger.warning("%s of %s: %s at %d of %d bytes", file.name, snapshot.repo, _word(error), here, file.size)
            time.sleep(PAUSE)
    snapshot.tidy(file)
    if not file.is_same(Path(path)):
        snapshot.drop(file)
        raise BackendUnavailable(
            f"{file.name} of {snapshot.repo} came, but is not the file that the model hub lists; it was removed.",
            "Start again, and it is fetched anew. If that does not help, something between here and the hub alters it.",
        )


def _is_missing(error: Exception) -> bool:
    return isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError)


def _is_final(error: Exception) -> bool:
    """Whether another attempt would end as this one did."""
    denied = isinstance(error, (RepositoryNotFoundError, RevisionNotFoundError))  # a gated one is not found either
    return denied or _is_missing(error) or getattr(error, "errno", None) in NO_ROOM


def _failed(snapshot: Snapshot, file: RemoteFile, error: Exception) -> BackendUnavailable:
    """What to tell of a file that could not be fetched."""
    if _is_missing(error):
        return BackendUnavailable(
            f"{file.name} is missing from {snapshot.repo} at {snapshot.commit}, though it is listed there.",
            f"Check the mirror that {ENDPOINT_VARIABLE} names, or choose another revision.",
        )
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return BackendUnavailable(
            f"{file.name} of {snapshot.repo} cannot be written to {models_folder()}: {os.strerror(error.errno)}.",
            f"Mend that, or set {MODEL_DIR_VARIABLE} to another folder.",
        )
    if isinstance(error, RepositoryNotFoundError):
        return _refused(Source(repo=snapshot.repo, revision=snapshot.commit), error)
    return BackendUnavailable(
        f"{file.name} of {snapshot.repo} could not be fetched from the model hub: {_word(error)}.",
        "Check the connection and start again: it goes on with what is here.",
    )


def _refused(source: Source, error: Exception) -> BackendUnavailable:
    """What to tell where the hub did not list the files of `source`."""
    if isinstance(error, GatedRepoError):
        return BackendUnavailable(
            f"{source.repo} is only for those who accepted its licence.",
            "Accept it on the model's page, and set HF_TOKEN to a token of that account.",
        )
    if isinstance(error, RepositoryNotFoundError):
        return BackendUnavailable(
            f"The model hub has no {source.repo}, or it is private.",
            "Check the name; a private one needs HF_TOKEN. A folder has to be there before it is named.",
        )
    if isinstance(error, RevisionNotFoundError):
        return BackendUnavailable(f"{source.repo} has no revision {source.revision}.", "Name a branch, tag or commit.")
    return BackendUnavailable(
        f"{source.repo} is not in {models_folder()}, and the model hub gave no answer: {_word(error)}.",
        "Check the connection; or copy the model from a machine that has it, or name a local folder as the model.",
    )


def _word(error: Exception) -> str:
    """An error without its text, which may hold a URL with a password."""
    if isinstance(error, HfHubHTTPError) and error.response is not None:
        return f"HTTP {error.response.status_code}"
    return type(error.__cause__ or error).__name__
