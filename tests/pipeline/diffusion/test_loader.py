"""Loading: safetensors only, which files are fetched, VAE, LoRA, and errors that say what to do."""

from __future__ import annotations

import json
import shutil
import socket
import sys
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
from pipeline.model_files import LORA_FILE, WEIGHTS
from tests.fakes.hub import Hub
from tests.pipeline.diffusion import tiny_model
from tests.pipeline.diffusion.harness import networks, painted, picture, stream


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


def stages(seen: list[Progress]) -> list[str]:
    """The names in their order, after a look at what is reported of each."""
    names = list(dict.fromkeys(progress.stage for progress in seen))
    assert [progress.stage for progress in seen] == sorted((one.stage for one in seen), key=names.index)
    for name in names:
        done = [progress.done for progress in seen if progress.stage == name]
        (total,) = {progress.total for progress in seen if progress.stage == name}
        assert done == sorted(done)
        assert done[0] < done[-1] == total
    return names


def test_progress_of_a_folder(tiny_sd: Path) -> None:
    seen: list[Progress] = []
    load_model(tiny_sd, seen.append, threads=1)
    assert stages(seen) == ["weights", "ready"]


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


@pytest.mark.parametrize("part", [["antigravity", "Mine"], ["os", "path"], "xy"])
def test_a_folder_that_names_code_is_refused_before_it_is_imported(folder: Path, part: object) -> None:
    index = json.loads((folder / loader.INDEX).read_text()) | {"scheduler": part}
    (folder / loader.INDEX).write_text(json.dumps(index))
    with pytest.raises(BackendUnavailable, match="is not imported"):
        load_model(folder, silent, threads=1)
    assert "antigravity" not in sys.modules


def test_a_folder_that_is_loaded_asks_nobody(tiny_sd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for a newer file nor for a missing one."""
    monkeypatch.setattr(socket, "socket", None)
    monkeypatch.setattr(socket, "getaddrinfo", None)
    load_model(tiny_sd, silent, threads=1)


def test_a_folder_that_is_no_model(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(BackendUnavailable, match="no model folder"):
        load_model(tmp_path / "absent", silent, threads=1)
    with pytest.raises(BackendUnavailable, match="could not be loaded"):
        load_model(tmp_path / "model" / "tokenizer", silent, threads=1)
    for text in ("{", "[]", '{"scheduler": ["diffusers", "Other"]}'):
        (folder / loader.INDEX).write_text(text)
        with pytest.raises(BackendUnavailable, match="could not be loaded"):
            load_model(folder, silent, threads=1)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_weights_that_are_cut_short(folder: Path, part: str) -> None:
    (weights,) = (folder / part).glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:200])
    with pytest.raises(BackendUnavailable, match="could not be loaded"):
        load_model(folder, silent, threads=1)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError()])
def test_too_little_memory_is_told(tiny_sd: Path, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(torch.nn.Module, "to", fail)
    with pytest.raises(BackendUnavailable, match="not enough memory for the model") as caught:
        load_model(tiny_sd, silent, threads=1)
    assert caught.value.code == "model_load_failed"
    assert "smaller model" in caught.value.fix


def halved(folder: Path) -> Path:
    """The folder with weights in half precision only."""
    for path in folder.rglob("*.safetensors"):
        path.rename(path.with_suffix(".fp16.safetensors"))
    return folder


def test_half_precision_serves_where_there_is_no_other(folder: Path, model: Model) -> None:
    loaded = load_model(halved(folder), silent, threads=1)
    assert loaded.pipe.unet.dtype == model.pipe.unet.dtype
    assert torch.equal(painted(loaded, stream(loaded), 0), painted(model, stream(model), 0))


def test_a_full_vae_is_sliced_and_a_tiny_one_beside_it_preferred(
    full_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(full_model.pipe.vae, AutoencoderKL)
    assert full_model.pipe.vae.use_slicing
    assert painted(full_model, stream(full_model), 0).isfinite().all()
    full, tiny = tiny_model.build(tmp_path / "full", vae="full"), tiny_model.build(tmp_path / "tiny")
    shutil.copytree(tiny / "vae", full / loader.TINY_VAE_FOLDER)
    assert isinstance(load_model(full, silent, threads=1).pipe.vae, AutoencoderTiny)
    monkeypatch.setenv("LIVE_DIFFUSION_VAE", "full")
    assert isinstance(load_model(full, silent, threads=1).pipe.vae, AutoencoderKL)


def test_a_still_picture_through_a_full_vae_stays_still(full_model: Model) -> None:
    first, second = (networks(full_model).encode([picture(0)]) for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("name", ["LIVE_DIFFUSION_VAE", "LIVE_DIFFUSION_ATTENTION"])
def test_an_unknown_choice_is_refused(tiny_sd: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "magic")
    with pytest.raises(BackendUnavailable, match=f"{name} is 'magic'") as caught:
        load_model(tiny_sd, silent, threads=1)
    assert " or " in caught.value.fix


def test_xformers_that_cannot_be_used_leaves_torch_s_attention(
    tiny_sd: Path, model: Model, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tried = []

    def fail(pipe: StableDiffusionPipeline) -> None:
        tried.append(pipe)
        raise ModuleNotFoundError("xformers is not here\nand more")

    monkeypatch.setattr(StableDiffusionPipeline, "enable_xformers_memory_efficient_attention", fail)
    load_model(tiny_sd, silent, threads=1)
    assert tried == []  # nobody asked
    monkeypatch.setenv("LIVE_DIFFUSION_ATTENTION", "xformers")
    loaded = load_model(tiny_sd, silent, threads=1)
    assert tried == [loaded.pipe]
    (line,) = [record.message for record in caplog.records if record.name == loader.__name__]
    assert line == "xformers cannot be used (ModuleNotFoundError: xformers is not here): attention is torch's own"
    assert torch.equal(painted(loaded, stream(loaded), 0), painted(model, stream(model), 0))


def test_xformers_that_can_be_used_are(tiny_sd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []
    enable = "enable_xformers_memory_efficient_attention"
    monkeypatch.setattr(StableDiffusionPipeline, enable, lambda pipe: given.append(pipe))
    monkeypatch.setenv("LIVE_DIFFUSION_ATTENTION", "xformers")
    assert [load_model(tiny_sd, silent, threads=1).pipe] == given


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


def offer(hub: Hub, spec: ModelSpec, base: Path, tiny: Path, lora: Path | None = None) -> dict[str, set[str]]:
    """Serve `spec` at the revisions it names; what of each repository is read, with the tiny VAE."""
    assert spec.vae
    hub.add(spec.base.repo, base, commit=spec.base.revision)
    hub.add(spec.vae.repo, tiny / "vae", commit=spec.vae.revision)
    files = {path.relative_to(base).as_posix() for path in base.rglob("*.*") if path.parent.name != "vae"}
    places = {spec.base.repo: files, spec.vae.repo: {"config.json", "diffusion_pytorch_model.safetensors"}}
    if spec.lora:
        assert lora
        hub.add(spec.lora.repo, lora, commit=spec.lora.revision)
        places[spec.lora.repo] = {LORA_FILE}
    return places


def asked(hub: Hub) -> dict[str, set[str]]:
    repos = {request.repo for request in hub.requests}
    return {
        repo: {one.file for one in hub.requests if one.repo == repo and one.method == "GET" and one.file}
        for repo in repos
    }


def test_a_model_of_the_catalogue(hub: Hub, tiny_sd: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spec = catalog.models()["sd15-lcm"]
    full = tiny_model.build(tmp_path / "full", vae="full")
    places = offer(hub, spec, full, tiny_sd, write_lora(tiny_sd, tmp_path / "lora"))
    seen: list[Progress] = []
    with caplog.at_level("INFO"):
        loaded = load_model(spec, seen.append, threads=1)
    assert spec.notice in caplog.text
    assert (loaded.name, loaded.steps) == ("sd15-lcm", 4)
    assert isinstance(loaded.pipe.vae, AutoencoderTiny)
    assert stages(seen) == ["download", "VAE", "weights", "LoRA", "ready"]
    assert asked(hub) == places  # so the weights of its own VAE stay away
    plain = load_model(tiny_sd, silent, threads=1)
    assert not torch.equal(painted(loaded, stream(loaded), 0), painted(plain, stream(plain), 0))


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_gpu_gets_half_precision(hub: Hub, tiny_sd: Path, folder: Path, device: str) -> None:
    spec = catalog.models()["sd-turbo"]
    shutil.copytree(tiny_sd, halved(folder), dirs_exist_ok=True)  # so it has both
    offer(hub, spec, folder, tiny_sd)
    files = loader._fetched(spec, loader.Choices(), torch.device(device), silent)
    ending = ".fp16.safetensors" if device == "cuda" else ".safetensors"
    weights = {name for name in asked(hub)[spec.base.repo] if name.endswith(".safetensors")}
    assert weights == {f"{stem}{ending}" for stem in WEIGHTS}
    for there in (files, loader._Files("both", folder)):
        assert loader._variant(there, torch.device(device)) == ("fp16" if device == "cuda" else None)


def test_the_same_model_again_needs_no_network(hub: Hub, tiny_sd: Path) -> None:
    spec = catalog.models()["sd-turbo"]
    offer(hub, spec, tiny_sd, tiny_sd)
    first = load_model(spec, silent, threads=1)
    hub.close()
    seen: list[Progress] = []
    again = load_model(spec, seen.append, threads=1)
    assert stages(seen) == ["VAE", "weights", "ready"]
    assert torch.equal(painted(again, stream(again), 0), painted(first, stream(first), 0))


def test_a_repository_with_its_own_vae(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVE_DIFFUSION_VAE", "full")
    hub.add("painter/model", tiny_model.build(tmp_path / "full", vae="full"))
    spec = catalog.find("painter/model@main")
    loaded = load_model(spec, silent, threads=1)
    assert (loaded.name, loaded.steps) == ("painter/model", None)
    assert isinstance(loaded.pipe.vae, AutoencoderKL)
    assert "vae/diffusion_pytorch_model.safetensors" in asked(hub)["painter/model"]
    assert asked(hub).keys() == {"painter/model"}


def test_a_repository_that_is_no_model(hub: Hub, tiny_sd: Path) -> None:
    hub.add("painter/vae", tiny_sd / "vae")
    with pytest.raises(BackendUnavailable, match=r"painter/vae has no file model_index\.json"):
        load_model(catalog.find("painter/vae"), silent, threads=1)


def test_a_hub_that_cannot_be_reached(hub: Hub) -> None:
    hub.close()
    with pytest.raises(BackendUnavailable, match="stabilityai/sd-turbo is not in"):
        load_model(catalog.find(None), silent, threads=1)
