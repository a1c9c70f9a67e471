"""The rebuilt network against the original file, and what happens when that file is not as it should be."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from pipeline.backends.style import NeuralStyle, graph
from pipeline.backends.style.graph import StyleModel, build, styles_source
from pipeline.backends.style.net import StyleNet
from pipeline.errors import BackendUnavailable
from run import ROOT
from tests.pipeline.samples import astronaut

# Mean difference on the scale 0..1. The split 9x9 kernels cost 0.0048 in the worst style and 0.0016 in a typical one
# at 256 pixels; bytes instead of floats cost another 0.001.
WORST, TYPICAL = 0.008, 0.0035


@pytest.fixture(scope="module")
def model() -> StyleModel:
    return build(styles_source())


def test_all_styles_are_those_of_the_original(model: StyleModel) -> None:
    picture = astronaut(128, 128)
    original = onnxruntime.InferenceSession(styles_source(), providers=["CPUExecutionProvider"])
    image = (picture.astype(np.float32) / 255).transpose(2, 0, 1)[None]
    net = StyleNet(model, threads=1)
    errors = []
    for index, choice in enumerate(np.eye(26, dtype=np.float32)):
        (expected,) = original.run(["stylized"], {"image": image, "style_weights": choice})
        painted = net(picture, model.table[index])
        errors.append(painted / 255 - expected[0].transpose(1, 2, 0))
    distances = np.abs(errors).mean(axis=(1, 2, 3))
    assert distances.max() < WORST
    assert np.median(distances) < TYPICAL
    assert abs(np.mean(errors)) < 0.0005, "no brighter and no darker: bytes are rounded, not cut"


def test_a_mix_is_the_weighted_sum_of_params(model: StyleModel) -> None:
    original = onnxruntime.InferenceSession(styles_source(), providers=["CPUExecutionProvider"])
    picture, weights = astronaut(64, 96), np.zeros(26, np.float32)
    weights[[0, 19]] = 0.25, 0.75
    image = (picture.astype(np.float32) / 255).transpose(2, 0, 1)[None]
    (expected,) = original.run(["stylized"], {"image": image, "style_weights": weights})
    painted = StyleNet(model, threads=1)(picture, np.tensordot(weights, model.table, 1))
    assert np.abs(painted / 255 - expected[0].transpose(1, 2, 0)).mean() < WORST


def test_the_network_leaves_the_arithmetic_of_the_thread_alone() -> None:
    """onnxruntime's option for denormals would change it for good. Only the first session of a process decides."""
    script = (
        "from pipeline.backends.style import NeuralStyle;"
        "NeuralStyle(threads=1).load(lambda progress: None);"
        "tiny = float('5e-324'); raise SystemExit(tiny * 1.0 == 0.0)"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0


def test_another_source_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_bytes", lambda path: b"something else")
    with pytest.raises(BackendUnavailable, match="not the file it should be") as caught:
        NeuralStyle(threads=1).load(lambda progress: None)
    assert "pip install" in caught.value.fix


def test_a_missing_package_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "PACKAGE", "there-is-no-such-package")
    with pytest.raises(BackendUnavailable, match="not to be found") as caught:
        styles_source()
    assert caught.value.fix
    monkeypatch.setattr(metadata, "files", lambda package: None)  # installed without a list of files
    with pytest.raises(BackendUnavailable, match="not to be found"):
        styles_source()


def test_nothing_is_reported_to_the_maker_of_onnxruntime(tmp_path: Path) -> None:
    """Its import leaves a number of the machine and a store of reports in the home folder, where it may."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ORT_")}
    command = [sys.executable, "-c", "import pipeline.backends.style.net"]
    subprocess.run(command, env=environment | {"HOME": str(tmp_path)}, cwd=ROOT, check=True)
    assert list(tmp_path.rglob("*onnxruntime*")) == []
