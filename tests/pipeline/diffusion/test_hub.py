"""Fetching from a hub on loopback: which files, progress in bytes, cut and wrong files, no network, no room."""

from __future__ import annotations

import logging
import random
import shutil
import time
from itertools import pairwise
from pathlib import Path

import pytest
from huggingface_hub import constants

from pipeline import hub as module
from pipeline.backend import Progress
from pipeline.catalog import Source
from pipeline.errors import BackendUnavailable
from pipeline.hub import fetch
from pipeline.model_files import Wanted
from tests.fakes import hub as fake
from tests.fakes.hub import Hub, etag, is_large

REPO = "painter/model"
UNET = "unet/diffusion_pytorch_model"
READ = ("model_index.json", "scheduler/scheduler_config.json", "tokenizer/vocab.json", "tokenizer/merges.txt")


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


FILES = {
    **{name: noise(50 + index) for index, name in enumerate(READ)},
    "unet/config.json": noise(60),
    f"{UNET}.safetensors": noise(200_000),
    f"{UNET}.fp16.safetensors": noise(100_000),
    "text_encoder/config.json": noise(70),
    "text_encoder/model.safetensors": noise(30_000),
    # and what nobody reads:
    f"{UNET}.non_ema.safetensors": noise(1000),
    f"{UNET}.bin": noise(1001),
    "text_encoder/pytorch_model.bin": noise(1002),
    "safety_checker/model.safetensors": noise(1003),
    "safety_checker/config.json": noise(1004),
    "model.safetensors": noise(1005),
    "unet/code.py": noise(1006),
    "README.md": noise(1007),
}
NEEDED = {*READ, "unet/config.json", "text_encoder/config.json", "text_encoder/model.safetensors"}


def silent(progress: Progress) -> None:
    pass


def wanted(revision: str = "main", half: bool = False) -> Wanted:
    return Wanted(Source(repo=REPO, revision=revision), ("model_index.json",), ("text_encoder/model", UNET), half)


@pytest.fixture
def commit(hub: Hub) -> str:
    """A hub with the model."""
    return hub.add(REPO, FILES)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's own pauses, of a second each, are left out."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)


def get(revision: str = "main", half: bool = False) -> Path:
    (folder,) = fetch([wanted(revision, half)], silent)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("half", [False, True])
def test_only_what_is_read_is_fetched(hub: Hub, commit: str, half: bool) -> None:
    names = {*NEEDED, f"{UNET}.fp16.safetensors" if half else f"{UNET}.safetensors"}
    assert content(get(half=half)) == {name: FILES[name] for name in names}
    assert hub.fetched() == names


def test_the_precision_that_is_there_is_taken_where_the_other_is_not(hub: Hub) -> None:
    hub.add(REPO, {name: value for name, value in FILES.items() if name != f"{UNET}.safetensors"})
    assert f"{UNET}.fp16.safetensors" in content(get())


def test_progress_in_bytes_over_all_repositories(hub: Hub, commit: str) -> None:
    hub.add("painter/vae", {"config.json": noise(10), "tiny.safetensors": noise(40_000)})
    vae = Wanted(Source(repo="painter/vae", revision="main"), ("config.json",), ("tiny",))
    hub.pause = 0.004
    seen: list[Progress] = []
    fetch([wanted(), vae], seen.append)
    total = 40_010 + sum(len(FILES[name]) for name in (*NEEDED, f"{UNET}.safetensors"))
    assert {(one.stage, one.total, one.unit) for one in seen} == {("download", total, "bytes")}
    done = [one.done for one in seen]
    assert all(earlier < later for earlier, later in pairwise(done))
    assert done[0] < total == done[-1]
    assert len(done) > 8
    seen.clear()
    fetch([wanted(), vae], seen.append)
    assert seen == []  # nothing to fetch


def test_a_cut_download_goes_on_where_it_was(hub: Hub, commit: str) -> None:
    name = f"{UNET}.safetensors"
    hub.cut[name] = [100_000]
    seen: list[Progress] = []
    (folder,) = fetch([wanted()], seen.append)
    assert content(folder)[name] == FILES[name]
    starts = [one.start for one in hub.requests if one.method == "GET" and one.file == name]
    assert starts[0] == 0
    assert 90_000 < starts[1] < 110_000
    assert len(starts) == 2
    assert [one.done for one in seen] == sorted(one.done for one in seen)


def test_what_a_killed_start_left_behind(hub: Hub, commit: str, tmp_path: Path) -> None:
    name = f"{UNET}.safetensors"
    blobs = tmp_path / "models" / f"models--{REPO.replace('/', '--')}" / "blobs"
    blobs.mkdir(parents=True)
    for ending in (".incomplete", ".1234abcd.incomplete"):  # as one version of the client names it, and the next
        (blobs / f"{etag(name, FILES[name])}{ending}").write_bytes(FILES[name][:50_000])
    seen: list[Progress] = []
    (folder,) = fetch([wanted()], seen.append)
    assert content(folder)[name] == FILES[name]
    assert seen[0].done >= 50_000
    assert seen[-1].done == seen[-1].total
    assert list(blobs.glob("*.incomplete")) == []


def test_a_line_that_is_cut_again_and_again_gets_there(hub: Hub, commit: str, hasty: None) -> None:
    name = f"{UNET}.safetensors"
    hub.cut[name] = [20_000] * 2 * module.ATTEMPTS
    assert content(get())[name] == FILES[name]
    assert hub.cut[name] == []


def test_a_line_that_brings_nothing_is_given_up(hub: Hub, commit: str, hasty: None) -> None:
    name = f"{UNET}.safetensors"
    hub.cut[name] = [0] * 100
    with pytest.raises(BackendUnavailable, match=f"{name} of {REPO} could not be fetched") as caught:
        get()
    assert "goes on with what is here" in caught.value.fix


def test_a_hub_that_falls_silent_is_given_up(
    hub: Hub, commit: str, hasty: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.05)
    monkeypatch.setattr(module, "ATTEMPTS", 1)
    client_log = logging.getLogger("huggingface_hub")
    monkeypatch.setattr(client_log, "level", logging.WARNING)
    monkeypatch.setattr(client_log, "handlers", [caplog.handler])
    hub.hang[f"{UNET}.safetensors"] = 0
    with pytest.raises(BackendUnavailable, match="could not be fetched"):
        get()
    assert "http" not in caplog.text  # the client's own warnings tell URLs


def test_less_than_before_is_not_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REPORT_INTERVAL", 0.001)
    counts = [5, 3, 8]
    seen: list[int] = []
    deadline = time.monotonic() + 10
    with module._reported(lambda: counts.pop(0) if counts else 9, 10, lambda progress: seen.append(progress.done)):
        while counts and time.monotonic() < deadline:
            time.sleep(0.001)
    assert seen == [5, 8, 9]


@pytest.mark.parametrize("name", [f"{UNET}.safetensors", "unet/config.json"])
def test_a_wrong_file_is_named_and_removed(hub: Hub, commit: str, name: str) -> None:
    hub.served[name] = bytes(len(FILES[name]))
    with pytest.raises(BackendUnavailable, match=f"{name} of {REPO} came, but is not the file") as caught:
        get()
    assert "fetched anew" in caught.value.fix
    hub.served.clear()
    assert content(get())[name] == FILES[name]


@pytest.mark.parametrize("change", [100, -100])
def test_a_file_of_a_wrong_length_is_named(hub: Hub, commit: str, change: int) -> None:
    name = f"{UNET}.safetensors"
    hub.served[name] = (FILES[name] + bytes(100))[: len(FILES[name]) + change]
    with pytest.raises(BackendUnavailable, match=f"{name} of {REPO} could not be fetched"):
        get()
    hub.served.clear()
    assert content(get())[name] == FILES[name]


def test_a_cached_file_of_a_wrong_length_is_fetched_anew(hub: Hub, commit: str) -> None:
    name = f"{UNET}.safetensors"
    path = get() / name
    path.resolve().write_bytes(b"short")
    assert content(get())[name] == FILES[name]


def test_a_missing_file_is_named_at_once(hub: Hub, commit: str) -> None:
    name = f"{UNET}.safetensors"
    hub.missing.add(name)
    with pytest.raises(BackendUnavailable, match=f"{name} is missing from {REPO} at {commit}"):
        get()
    assert len([one for one in hub.requests if one.file == name]) == 1


def test_a_repository_without_the_weights_costs_no_download(hub: Hub) -> None:
    hub.add(REPO, {name: value for name, value in FILES.items() if not name.startswith(UNET)})
    with pytest.raises(BackendUnavailable, match=f"{REPO} has no file {UNET}.safetensors") as caught:
        get()
    assert "diffusers' layout" in caught.value.fix
    assert hub.fetched() == set()


@pytest.mark.parametrize("part", ["commit", "small", "large"])
def test_a_list_that_names_no_hashes_is_not_followed(hub: Hub, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add(REPO, FILES, commit="../../elsewhere" if part == "commit" else "")
    spoilt = {"commit": None, "small": False, "large": True}[part]
    monkeypatch.setattr(fake, "etag", lambda name, data: "../*" if is_large(name) is spoilt else etag(name, data))
    with pytest.raises(BackendUnavailable, match=r"tells no size or no checksum of .* of painter/model"):
        get()
    assert hub.fetched() == set()


def test_a_pinned_revision_is_the_one_that_comes_and_needs_no_network_again(hub: Hub, commit: str) -> None:
    folder = get(commit)
    assert folder.name == commit
    assert {one.revision for one in hub.requests} == {commit}
    hub.requests.clear()
    assert get(commit) == folder
    assert hub.requests == []
    (folder / f"{UNET}.safetensors").unlink()
    assert (get(commit) / f"{UNET}.safetensors").exists()


def test_a_branch_is_followed(hub: Hub, commit: str) -> None:
    old = get()
    hub.add(REPO, FILES | {"unet/config.json": b"{}"}, commit="c" * 40)
    new = get()
    assert (new.name, new.joinpath("unet/config.json").read_bytes()) == ("c" * 40, b"{}")
    assert old != new


def test_a_warm_cache_needs_no_network(hub: Hub, commit: str, caplog: pytest.LogCaptureFixture) -> None:
    folder = get()
    hub.close()
    assert get() == folder
    (line,) = [record.message for record in caplog.records if record.name == module.__name__]
    assert f"{REPO} is taken from {folder}" in line


@pytest.mark.parametrize("half_there", [False, True])
def test_a_cold_cache_without_network_says_what_to_do(
    hub: Hub, commit: str, half_there: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if half_there:
        (get() / f"{UNET}.safetensors").unlink()
    hub.close()
    monkeypatch.setenv("HF_ENDPOINT", hub.address.replace("//", "//user:secret@"))
    with pytest.raises(
        BackendUnavailable, match=rf"{REPO} is not in \S*models, and the model hub gave no answer: \w+\.$"
    ) as caught:
        get()
    assert "local folder" in caught.value.fix
    assert "secret" not in caught.value.message + caught.value.fix + caplog.text


@pytest.mark.parametrize(
    ("denial", "says", "fix"),
    [
        ((404, "RepoNotFound"), f"has no {REPO}, or it is private", "HF_TOKEN"),
        ((401, "RepoNotFound"), f"has no {REPO}, or it is private", "HF_TOKEN"),
        ((403, "GatedRepo"), "only for those who accepted its licence", "HF_TOKEN"),
        ((404, "RevisionNotFound"), f"{REPO} has no revision main", "branch, tag or commit"),
        ((503, "Busy"), "gave no answer: HTTP 503", "connection"),
    ],
)
def test_what_the_hub_refuses_is_told_apart(
    hub: Hub, commit: str, denial: tuple[int, str], says: str, fix: str
) -> None:
    hub.denial = denial
    with pytest.raises(BackendUnavailable, match=says) as caught:
        get()
    assert fix in caught.value.fix


def test_too_little_room_is_told_before_the_download(hub: Hub, commit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=module.SPARE_DISK + 200_000))
    with pytest.raises(
        BackendUnavailable, match=r"needs 0.0 GB more on the disk of .*models, which has 0.2 GB"
    ) as caught:
        get()
    assert "LIVE_DIFFUSION_MODEL_DIR" in caught.value.fix
    assert hub.fetched() == set()


def test_a_folder_that_cannot_be_written_is_told(hub: Hub, commit: str, tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file in the way")
    with pytest.raises(BackendUnavailable, match=r"cannot be written to .*models") as caught:
        get()
    assert "LIVE_DIFFUSION_MODEL_DIR" in caught.value.fix
