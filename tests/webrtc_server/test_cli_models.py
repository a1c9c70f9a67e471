"""`live-diffusion models` against a hub on loopback: list, pull, rm, path, and what each refuses."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline import catalog, registry
from pipeline.catalog import ModelSpec
from pipeline.model_files import DESCRIPTIONS, LORA_FILE
from run import ROOT
from tests.fakes.hub import Hub
from webrtc_server.cli.main import app

TURBO, LCM = catalog.models().values()
NEEDS_CLIENT = pytest.mark.skipif(
    registry.ENTRIES["diffusion"].missing() is not None, reason=str(registry.ENTRIES["diffusion"].missing())
)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where models go. `models` puts the configured folder into the environment, which is put back here."""
    monkeypatch.chdir(tmp_path)  # a .env of the checkout must not decide what these tests see
    folder = tmp_path / "models"
    monkeypatch.setenv("LIVE_DIFFUSION_MODEL_DIR", str(folder))
    return folder


def run(*arguments: str, answer: str = "") -> tuple[int, str]:
    result = CliRunner().invoke(app, ["models", *arguments], input=answer)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, " ".join(result.output.split())


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    from pipeline import hub as fetching

    monkeypatch.setattr(fetching, "PAUSE", 0.01)
    monkeypatch.setattr(fetching, "CHUNK", 4096)
    hub = Hub()
    monkeypatch.setenv("HF_ENDPOINT", hub.address)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    parts = ("text_encoder/model", "unet/diffusion_pytorch_model")
    names = [*DESCRIPTIONS, "text_encoder/config.json", "unet/config.json"]
    names += [f"{part}{ending}.safetensors" for part in parts for ending in ("", ".fp16")]
    for spec in (TURBO, LCM):
        hub.add(spec.base.repo, {name: noise(20_000 + len(name)) for name in names}, spec.base.revision)
        assert spec.vae
        vae = {"config.json": noise(10), "diffusion_pytorch_model.safetensors": noise(9000)}
        hub.add(spec.vae.repo, vae, spec.vae.revision)
    assert LCM.lora
    hub.add(LCM.lora.repo, {LORA_FILE: noise(7000)}, LCM.lora.revision)
    return hub


def weights(hub: Hub) -> set[str]:
    return {name for name in hub.fetched() if name.startswith(("unet", "text")) and name.endswith(".safetensors")}


def folder_of(place: Path, spec: ModelSpec) -> Path:
    return place / f"models--{spec.base.repo.replace('/', '--')}"


@NEEDS_CLIENT
def test_a_model_comes_is_listed_and_goes(hub: Hub, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("path") == (0, str(place))
    code, text = run("list")
    assert code == 0
    assert "sd-turbo (default) SD-Turbo 2.4 GB with a GPU, 4.8 GB without no Stability AI" in text
    assert "The CPU pipelines (neural-style, effects) need none of these" in text
    assert not place.exists()
    with hub:
        code, text = run("pull", "sd-turbo", "--half")
        assert (code, TURBO.notice in text) == (0, True), text
        assert weights(hub) == {"unet/diffusion_pytorch_model.fp16.safetensors", "text_encoder/model.fp16.safetensors"}
        asked = len(hub.requests)
        assert run("pull", "sd-turbo", "--half")[0] == 0
        assert len(hub.requests) == asked  # all is here, under commits
    size = sum(path.stat().st_size for path in place.rglob("*") if path.is_file() and not path.is_symlink())
    assert f"2.4 GB with a GPU, 4.8 GB without {size / 1e6:.1f} MB Stability" in run("list")[1]
    monkeypatch.setenv("LIVE_DIFFUSION_VAE", "full")
    assert f"4.8 GB without in part, {size / 1e6:.1f} MB Stability" in run("list")[1]
    code, text = run("rm", "sd-turbo", answer="n\n")
    assert (code, "Remove stabilityai/sd-turbo, madebyollin/taesd" in text) == (1, True), text
    assert folder_of(place, TURBO).exists()
    assert run("rm", "sd-turbo", "--yes")[0] == 0
    assert list(place.glob("models--*")) == []
    assert run("rm", "sd-turbo") == (0, "sd-turbo is not here.")


@NEEDS_CLIENT
def test_what_two_models_share_goes_with_the_last(hub: Hub, place: Path) -> None:
    with hub:
        assert run("pull", "sd-turbo")[0] == run("pull", "sd15-lcm")[0] == 0
    other = folder_of(place, TURBO) / "snapshots" / ("0" * 40)  # which another program fetched
    other.mkdir()
    (other / "model.bin").write_bytes(b"theirs" * 100_000)
    asked = run("rm", "sd-turbo", answer="n\n")[1]
    size = sum(path.stat().st_size for path in (folder_of(place, TURBO) / "blobs").iterdir())
    assert f"Remove stabilityai/sd-turbo ({size / 1e6:.1f} MB)" in asked
    assert run("rm", "sd-turbo", "-y") == (0, "Removed stabilityai/sd-turbo.")
    assert [path.name for path in other.parent.iterdir()] == [other.name]
    assert (other / "model.bin").stat().st_size == 600_000
    assert run("rm", "sd-turbo", "-y") == (0, "sd-turbo is not here.")  # the VAE is the other's
    assert (place / "models--madebyollin--taesd").exists()
    assert run("rm", "sd15-lcm", "-y")[0] == 0
    assert not (place / "models--madebyollin--taesd").exists()


@NEEDS_CLIENT
def test_what_a_configured_model_shares_stays(hub: Hub, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with hub:
        assert run("pull", "sd-turbo")[0] == 0
    monkeypatch.setenv("LIVE_DIFFUSION_MODEL", "owner/name")
    assert run("rm", "sd-turbo", "-y") == (0, "Removed stabilityai/sd-turbo.")
    monkeypatch.delenv("LIVE_DIFFUSION_MODEL")
    assert run("rm", "sd15-lcm", "-y") == (0, "sd15-lcm is not here.")
    assert (place / "models--madebyollin--taesd").exists()


@NEEDS_CLIENT
def test_a_copy_of_the_same_commit_stays_with_its_owner(hub: Hub, place: Path) -> None:
    """Under some name that the scan has before and some that it has after: its order is a set's."""
    with hub:
        assert run("pull", "sd-turbo")[0] == 0
    own = folder_of(place, TURBO)
    (own / "snapshots" / ("0" * 40)).mkdir()
    copies = [place / f"models--copy{n}--sd-turbo" for n in range(8)]
    for copy in copies:
        shutil.copytree(own, copy, symlinks=True)
    (place / ".locks" / own.name).mkdir(parents=True, exist_ok=True)
    assert run("rm", "sd-turbo", "-y")[0] == 0
    assert not (own / "snapshots" / TURBO.base.revision).exists()
    assert all((copy / "snapshots" / TURBO.base.revision).exists() for copy in copies)
    assert (place / ".locks" / own.name).exists()  # of the commits that stay


@NEEDS_CLIENT
def test_what_the_client_cannot_read_is_not_said_to_be_removed(hub: Hub, place: Path) -> None:
    with hub:
        assert run("pull", "sd-turbo")[0] == 0
    own = folder_of(place, TURBO)
    (own / "snapshots" / ("0" * 40)).mkdir()
    (own / "snapshots" / "a file in the way").touch()
    code, text = run("rm", "sd-turbo", "-y")
    assert (code, f"{own} cannot be removed: the cache is not as" in text) == (3, True), text


@NEEDS_CLIENT
def test_a_hub_that_cannot_be_reached_and_then_goes_on(hub: Hub, place: Path) -> None:
    name = "unet/diffusion_pytorch_model.safetensors"
    with hub:
        hub.cut[name] = [10_000] + [0] * 100
        code, text = run("pull", "sd-turbo", "--full")
        assert (code, f"error: {name} of stabilityai/sd-turbo could not be fetched" in text) == (3, True), text
        assert " in part, " in run("list")[1]
        hub.cut.clear()
        assert run("pull", "sd-turbo", "--full")[0] == 0
        starts = [one.start for one in hub.requests if one.method == "GET" and one.file == name]
        assert starts[-1] > 5_000  # it went on with what was here
    code, text = run("pull", "sd15-lcm")
    assert (code, "the model hub gave no answer" in text) == (3, True), text


@pytest.mark.parametrize("verb", ["pull", "rm"])
def test_only_the_catalogues_keys(verb: str, place: Path) -> None:
    assert run(verb, "sd-turb") == (2, "error: there is no model 'sd-turb' in the catalogue; did you mean sd-turbo?")
    for name in ("owner/name", "../models", str(place)):
        code, text = run(verb, name)
        assert (code, "choose one of sd-turbo, sd15-lcm" in text) == (2, True), text


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, text = run("list")
    assert (code, "sd-turbo (default)" in text, "pip install '.[diffusion]'" in text) == (0, True, True)
    for command in (("pull", "sd-turbo"), ("rm", "sd-turbo"), ("path",)):
        code, text = run(*command)
        assert code == 3
        assert "error: the hub's client is not installed: run `pip install '.[diffusion]'`" in text


def test_a_wrong_configuration_is_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVE_DIFFUSION_PORT", "none")
    code, text = run("list")
    assert (code, "LIVE_DIFFUSION_PORT in the environment" in text) == (2, True)


@NEEDS_CLIENT
def test_no_torch_is_imported() -> None:
    code = (
        "import sys\nfrom webrtc_server.cli.main import app\n"
        "try: app(['models', 'list'])\nexcept SystemExit as end: assert not end.code\n"
        "assert 'huggingface_hub' in sys.modules\nsys.exit('torch' in sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
