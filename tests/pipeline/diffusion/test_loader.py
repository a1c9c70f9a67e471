"""Loading: safetensors only, which files are fetched, VAE, LoRA, and errors that say what to do."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, StableDiffusionPipeline

from pipeline import catalog
from pipeline.backend import Progress
from pipeline.backends.diffusion import loader
from pipeline.backends.diffusion.loader import Model, load_model
from pipeline.catalog import ModelSpec
from pipeline.errors import BackendUnavailable
from tests.pipeline.diffusion.harness import painted, stream


def silent(progress: Progress) -> None:
    pass


@pytest.fixture
def folder(tiny_sd: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model that a test may spoil."""
    return Path(shutil.copytree(tiny_sd, tmp_path / "model"))


def test_what_is_loaded(model: Model) -> None:
    assert isinstance(model.pipe.vae, AutoencoderTiny)
    for part in (model.pipe.unet, model.pipe.vae, model.pipe.text_encoder):
        assert part.dtype == (torch.float16 if torch.cuda.is_available() else torch.float32)
        assert not part.training
        assert not any(weight.requires_grad for weight in part.parameters())
    assert model.pipe.safety_checker is None


def test_progress_rises_to_its_total(tiny_sd: Path) -> None:
    seen: list[Progress] = []
    load_model(tiny_sd, seen.append, threads=1)
    assert [progress.done for progress in seen] == sorted(progress.done for progress in seen)
    assert seen[0].done == 0
    assert seen[-1].done == seen[-1].total


def test_threads_are_bounded(tiny_sd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 6)
    try:
        load_model(tiny_sd, silent)
        assert torch.get_num_threads() == 3
    finally:
        load_model(tiny_sd, silent, threads=1)
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_a_part_with_pickles_only_is_refused(folder: Path, part: str) -> None:
    (weights,) = (folder / part).glob("*.safetensors")
    pickle = weights.with_suffix(".bin")
    torch.save({}, pickle)
    loader.check_folder(folder)  # a pickle beside safetensors is not read
    weights.unlink()
    with pytest.raises(BackendUnavailable, match="is a pickle, which could run any code"):
        load_model(folder, silent, threads=1)


def test_a_folder_with_code_is_refused(folder: Path) -> None:
    (folder / "unet" / "my_unet.py").write_text("raise SystemExit")
    with pytest.raises(BackendUnavailable, match="program code"):
        load_model(folder, silent, threads=1)


def test_a_folder_that_is_no_model(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(BackendUnavailable, match="no model folder"):
        load_model(tmp_path / "absent", silent, threads=1)
    with pytest.raises(BackendUnavailable, match="could not be loaded"):
        load_model(tmp_path / "model" / "tokenizer", silent, threads=1)
    (folder / "unet" / "config.json").write_text("{")
    with pytest.raises(BackendUnavailable, match="could not be loaded"):
        load_model(folder, silent, threads=1)


def test_a_full_vae_is_sliced_and_a_tiny_one_beside_it_preferred(full_model: Model, tmp_path: Path) -> None:
    assert isinstance(full_model.pipe.vae, AutoencoderKL)
    assert full_model.pipe.vae.use_slicing
    assert painted(full_model, stream(full_model), 0).isfinite().all()
    from tests.pipeline.diffusion import tiny_model

    full, tiny = tiny_model.build(tmp_path / "full", vae="full"), tiny_model.build(tmp_path / "tiny")
    shutil.copytree(tiny / "vae", full / loader.TINY_VAE_FOLDER)
    assert isinstance(load_model(full, silent, threads=1).pipe.vae, AutoencoderTiny)


def write_lora(model: Path, folder: Path) -> Path:
    """A LoRA for the tiny model's UNet that does something."""
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    pipe = StableDiffusionPipeline.from_pretrained(model, safety_checker=None, use_safetensors=True)
    pipe.unet.add_adapter(LoraConfig(r=2, init_lora_weights=False, target_modules=["to_q", "to_k", "to_v"]))
    state = {name: value * 20 for name, value in get_peft_model_state_dict(pipe.unet).items()}
    StableDiffusionPipeline.save_lora_weights(folder, unet_lora_layers=state)
    return folder


def test_a_fused_lora_changes_the_picture(model: Model, tiny_sd: Path, tmp_path: Path) -> None:
    lora = write_lora(tiny_sd, tmp_path / "lora")
    other = load_model(tiny_sd, silent, threads=1)
    before = painted(other, stream(other), 0)
    loader.fuse_lora(other.pipe, lora)
    after = painted(other, stream(other), 0)
    assert (after - before).abs().max() > 1e-3
    assert not [name for name, _ in other.pipe.unet.named_parameters() if "lora" in name]  # none left to compute
    assert torch.equal(painted(model, stream(model), 0), before)


def test_a_lora_that_is_a_pickle_is_refused(model: Model, tmp_path: Path) -> None:
    torch.save({}, tmp_path / "pytorch_lora_weights.bin")
    with pytest.raises(OSError, match="has no pytorch_lora_weights"):
        loader.fuse_lora(model.pipe, tmp_path)


def test_a_model_of_the_catalogue(
    tiny_sd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lora = write_lora(tiny_sd, tmp_path / "lora")
    places = {
        "stable-diffusion-v1-5/stable-diffusion-v1-5": tiny_sd,
        "madebyollin/taesd": tiny_sd / "vae",
        "latent-consistency/lcm-lora-sdv1-5": lora,
    }
    asked: dict[str, dict[str, object]] = {}

    def snapshot(repo: str, **options: object) -> str:
        asked[repo] = options
        return str(places[repo])

    monkeypatch.setattr(loader, "snapshot_download", snapshot)
    spec = catalog.models()["sd15-lcm"]
    with caplog.at_level("INFO"):
        loaded = load_model(spec, silent, threads=1)
    assert spec.notice in caplog.text
    assert (loaded.name, loaded.steps) == ("sd15-lcm", 4)
    assert asked.keys() == places.keys()
    plain = load_model(tiny_sd, silent, threads=1)
    assert not torch.equal(painted(loaded, stream(loaded), 0), painted(plain, stream(plain), 0))
    patterns = asked["stable-diffusion-v1-5/stable-diffusion-v1-5"]
    assert patterns["allow_patterns"] == ["*.json", "*.txt", "*/*.safetensors"]
    assert patterns["ignore_patterns"] == [*loader.NEVER_FETCHED, "*.fp16.safetensors"]
    loader._fetch(spec.base, torch.device("cuda"))
    patterns = asked["stable-diffusion-v1-5/stable-diffusion-v1-5"]
    assert patterns["allow_patterns"] == ["*.json", "*.txt", "*/*.fp16.safetensors"]
    assert patterns["ignore_patterns"] == [*loader.NEVER_FETCHED]
    assert all(options["revision"] == "main" for options in asked.values())


def test_a_hub_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(repo: str, **_: object) -> str:
        raise ConnectionError("https://user:secret@hub/")

    monkeypatch.setattr(loader, "snapshot_download", fail)
    spec = catalog.find(None)
    assert isinstance(spec, ModelSpec)
    with pytest.raises(BackendUnavailable) as caught:
        load_model(spec, silent, threads=1)
    assert caught.value.message == "stabilityai/sd-turbo could not be fetched from the model hub: ConnectionError."
    assert "local folder" in caught.value.fix
