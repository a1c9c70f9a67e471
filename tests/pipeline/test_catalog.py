"""The catalogue of models: what is in it, what it refuses, and that it comes with the package."""

from __future__ import annotations

import copy
import re
import tomllib
from pathlib import Path

import pytest

from pipeline import catalog
from pipeline.catalog import ModelSpec, Source
from pipeline.errors import BackendUnavailable
from pipeline.log_texts import MAX_TEXT

TEXT = Path(catalog.__file__).with_name("models.toml").read_text(encoding="utf-8")
GOOD = tomllib.loads(TEXT)["sd-turbo"]


def test_what_there_is() -> None:
    models = catalog.models()
    assert list(models) == ["sd-turbo", "sd15-lcm"]
    turbo, lcm = models.values()
    assert turbo.vae == lcm.vae
    assert turbo.vae
    assert (turbo.base.repo, turbo.vae.repo, turbo.lora) == ("stabilityai/sd-turbo", "madebyollin/taesd", None)
    assert (turbo.steps, turbo.cfg_type) == (1, "none")
    assert lcm.lora
    assert (lcm.lora.repo, lcm.steps, lcm.cfg_type) == ("latent-consistency/lcm-lora-sdv1-5", 4, "self")
    assert all(model.licence and "icense" in model.notice for model in models.values())
    assert all(len(model.notice) <= MAX_TEXT for model in models.values()), "the log would cut it"
    sources = [source for model in models.values() for source in (model.base, model.vae, model.lora) if source]
    assert all(re.fullmatch("[0-9a-f]{40}", source.revision) for source in sources)  # what is tried is what comes


def test_find(tmp_path: Path) -> None:
    assert catalog.find(None) is catalog.find("") is catalog.models()["sd-turbo"]
    assert catalog.find("sd15-lcm") is catalog.models()["sd15-lcm"]
    assert catalog.find(str(tmp_path)) == tmp_path


def test_a_repository_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = catalog.find("owner/some-model_1.5")
    assert isinstance(found, ModelSpec)
    assert found.base == Source(repo="owner/some-model_1.5", revision="main")
    assert found.vae == catalog.models()["sd-turbo"].vae
    assert (found.key, found.lora, found.steps, found.cfg_type) == ("owner/some-model_1.5", None, None, None)
    assert "owner/some-model_1.5" in found.notice
    pinned = catalog.find("owner/model@v1.0")
    assert isinstance(pinned, ModelSpec)
    assert pinned.base == Source(repo="owner/model", revision="v1.0")
    (tmp_path / "owner" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert catalog.find("owner/model") == Path("owner/model")  # a folder that is there wins


@pytest.mark.parametrize(
    "name",
    [
        "sd-turbo2",
        "/no/such/folder",
        "./owner/model",
        "../model",
        "owner/model/part",
        "owner/.model",
        "owner/mo del",
        "owner/model@",
        "owner/model@a/b",
        "owner/model@v1\n",
        "o@1/model",
        "https://user:secret@example.org/a",
    ],
)
def test_what_is_no_model(name: str) -> None:
    with pytest.raises(BackendUnavailable) as caught:
        catalog.find(name)
    assert "sd-turbo, sd15-lcm, a folder in diffusers' layout, or owner/name" in caught.value.fix
    assert "secret" not in caught.value.message


def test_a_model_may_keep_its_own_vae() -> None:
    text = "\n".join(line for line in TEXT.splitlines() if not line.startswith("vae"))
    assert [model.vae for model in catalog.parse(text).values()] == [None, None]


def changed(**values: object) -> ModelSpec:
    return ModelSpec.model_validate({"key": "sd-turbo"} | copy.deepcopy(GOOD) | values)


@pytest.mark.parametrize(
    "values",
    [
        {"key": "../etc"},
        {"key": "SD Turbo"},
        {"steps": 0},
        {"steps": 5},
        {"steps": "1"},
        {"cfg_type": "some"},
        {"licence": ""},
        {"notice": ""},
        {"unknown": 1},
        {"base": GOOD["base"] | {"repo": "/etc/passwd"}},
        {"base": GOOD["base"] | {"repo": "../../model"}},
        {"base": GOOD["base"] | {"repo": "https://example.org/a/b"}},
        {"base": GOOD["base"] | {"revision": ""}},
        {"base": GOOD["base"] | {"revision": "../main"}},
        {"base": GOOD["base"] | {"files": "*"}},
        {"vae": {"repo": "madebyollin/taesd"}},
    ],
    ids=str,
)
def test_wrong_entries_are_refused(values: dict[str, object]) -> None:
    changed()
    with pytest.raises(ValueError, match=next(iter(values))):
        changed(**values)


def test_a_file_that_is_no_table_of_models() -> None:
    with pytest.raises(ValueError, match="sd-turbo"):
        catalog.parse('sd-turbo = "stabilityai/sd-turbo"')
