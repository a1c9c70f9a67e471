"""The catalogue of models: what is in it, what it refuses, and that it comes with the package."""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path

import pytest

from pipeline import catalog
from pipeline.catalog import ModelSpec
from pipeline.errors import BackendUnavailable

TEXT = Path(catalog.__file__).with_name("models.toml").read_text(encoding="utf-8")
GOOD = tomllib.loads(TEXT)["sd-turbo"]


def test_what_there_is() -> None:
    models = catalog.models()
    assert list(models) == ["sd-turbo", "sd15-lcm"]
    turbo, lcm = models.values()
    assert (turbo.base.repo, turbo.vae.repo, turbo.lora) == ("stabilityai/sd-turbo", "madebyollin/taesd", None)
    assert (turbo.steps, turbo.cfg_type) == (1, "none")
    assert lcm.lora
    assert (lcm.lora.repo, lcm.steps, lcm.cfg_type) == ("latent-consistency/lcm-lora-sdv1-5", 4, "self")
    assert all(model.licence and "icense" in model.notice for model in models.values())


def test_find(tmp_path: Path) -> None:
    assert catalog.find(None) is catalog.find("") is catalog.models()["sd-turbo"]
    assert catalog.find("sd15-lcm") is catalog.models()["sd15-lcm"]
    assert catalog.find(str(tmp_path)) == tmp_path
    with pytest.raises(BackendUnavailable) as caught:
        catalog.find("stabilityai/anything")
    assert "sd-turbo, sd15-lcm, or a folder" in caught.value.fix


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
        {"base": GOOD["base"] | {"layout": "pickle"}},
        {"vae": {"repo": "madebyollin/taesd"}},
        {"vae": None},
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
