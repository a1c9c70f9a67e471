"""The benchmark for GPUs: its models have the true shapes, its clock is honest, and the whole of it runs here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, TypeVar, cast

import pytest

from pipeline.frame import Frame
from pipeline.registry import ENTRIES
from run import ROOT

if MISSING := ENTRIES["diffusion"].missing():
    pytest.skip(MISSING, allow_module_level=True)

import torch

from bench.gpu import __main__ as program
from bench.gpu import report
from bench.gpu.flops import cost, limit
from bench.gpu.held import CAMERA_FPS, LEAST_FPS, MOST_P95_MS, Run, clocked
from bench.gpu.models import SD15, SD_TURBO, Architecture, filled, parameters, shapes
from bench.gpu.report import Section
from bench.gpu.rig import SMALL, Rig, Sessions

# As in bench/gpu/models.py, but narrow.
NARROW = Architecture(
    {"cross_attention_dim": 64, "attention_head_dim": 4, "block_out_channels": (32, 64, 64, 64)},
    {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 12, "num_attention_heads": 4},
)
SECTIONS = {
    "memory": ["weights_mb", "allocated_mb", "peak_mb", "reserved_mb", "session_mb"],
    "stages": [f"{name}_ms" for name in "upload colour_in encode unet decode colour_out download".split()],
    "steps": [f"steps_{name}_fps" for name in ("1_none", "2_none", "4_none", "4_full")],
    "batches": [f"batch_{count}_{unit}" for count in (1, 2) for unit in ("ms", "fps")],
    "steadiness": [f"batch_{count}_{unit}" for count in (1, 2) for unit in ("off_fps", "on_fps", "cost_percent")],
    "held": ["sessions", "least_fps", "p95_ms"],
    "versus": [f"steps_{steps}_{name}" for steps in (1, 4) for name in ("package_ms", "ours_ms", "times")],
    "share": [
        "measured_limit_tflops",
        "stated_limit_tflops",
        *(f"{name}_gflop" for name in ("unet", "encode", "decode")),
        *(
            f"{name}_of_{limit}_percent"
            for name in "encode unet decode steps_1_none steps_2_none steps_4_none steps_4_full batch_1 batch_2".split()
            for limit in ("measured", "stated")
        ),
    ],
    "graphs": [f"{kind}_batch_{count}_ms" for kind in ("eager", "graphs") for count in (1, 2)],
    "precision": [f"steps_{steps}_{name}_levels" for steps in (1, 4) for name in ("mean", "max")],
    "sd15": ["steps_4_self_fps"],
}
# What a CPU does not tell, or has not.
ON_A_GPU = re.compile("allocated|peak|reserved|session_mb|stated")


@pytest.mark.parametrize(
    ("architecture", "unet", "text_encoder", "unet_gflop"),
    [(SD_TURBO, 865.9, 340.4, 804.3), (SD15, 859.5, 123.1, 803.3)],
    ids=["sd-turbo", "sd15"],
)
def test_the_models_have_the_true_shapes(
    architecture: Architecture, unet: float, text_encoder: float, unet_gflop: float
) -> None:
    networks = shapes(architecture)
    millions = [parameters(part) / 1e6 for part in (networks.unet, networks.vae, networks.text_encoder)]
    assert millions == pytest.approx([unet, 2.4, text_encoder], abs=0.05)
    one = cost(networks.unet, networks.vae, 512, 512)
    gigaflops = [flops / 1e9 for flops in (one.unet, one.encode, one.decode, one.frame(2))]
    assert gigaflops == pytest.approx([unet_gflop, 122.3, 141.4, 2 * unet_gflop + 263.7], abs=0.2)


@torch.no_grad()
def test_random_weights_keep_every_value_within_half_precision() -> None:
    networks = filled(NARROW, torch.device("cpu"), torch.float32)
    largest: list[float] = []

    def note(module: object, given: object, answer: object) -> None:
        if isinstance(answer, torch.Tensor):
            largest.append(float(answer.abs().max()))

    for network in (networks.unet, networks.vae, networks.text_encoder):
        for module in network.modules():
            module.register_forward_hook(note)
    generator = torch.Generator().manual_seed(1)
    latents = networks.vae.encode(torch.rand((1, 3, 64, 64), generator=generator) * 2 - 1).latents
    embeds = networks.text_encoder(torch.arange(77)[None])[0]
    noise = networks.unet(latents, torch.tensor([400]), encoder_hidden_states=embeds)[0]
    picture = networks.vae.decode(latents)[0]
    assert len(largest) > 300
    assert max(largest) < 1000  # half precision ends at 65504
    for made, least, most in ((latents, 0.3, 3), (embeds, 0.5, 2), (noise, 0.1, 3), (picture, 0.1, 0.4)):
        assert least < made.std() < most
    unet = networks.unet.to(torch.float16)
    half = unet(latents.half(), torch.tensor([400]), encoder_hidden_states=embeds.half())[0]
    assert (half.float() - noise).abs().max() < 0.02


@pytest.mark.parametrize(
    ("device", "tflops"),
    [("NVIDIA H100 80GB HBM3", 790), ("NVIDIA GeForce RTX 3090 Ti", 71), ("NVIDIA A100-SXM4-40GB", 312)],
)
def test_limits_are_found_by_the_name_of_the_card(device: str, tflops: float) -> None:
    assert limit(device) == tflops * 1e12
    assert limit("Tesla T4") is None


class Timed:
    """An engine that takes its time for each batch and paints nothing."""

    batch_limit: ClassVar[int] = 4
    works_aside: ClassVar[bool] = False

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.sizes: list[int] = []

    def start(self, batch: Sequence[tuple[object, Frame]]) -> Callable[[], list[Frame]]:
        answers = self.step(batch)
        return lambda: answers

    def step(self, batch: Sequence[tuple[object, Frame]]) -> list[Frame]:
        time.sleep(self._seconds)
        self.sizes.append(len(batch))
        return [frame for _, frame in batch]


class Overlapped(Timed):
    """One that begins a batch while the one before it is under way; fetched in any other order, it complains."""

    works_aside: ClassVar[bool] = True

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.under_way: list[int] = []
        self.deepest = 0

    def start(self, batch: Sequence[tuple[object, Frame]]) -> Callable[[], list[Frame]]:
        number = len(self.sizes)
        answers = self.step(batch)
        self.under_way.append(number)
        self.deepest = max(self.deepest, len(self.under_way))

        def finish() -> list[Frame]:
            assert self.under_way.pop(0) == number
            return answers

        return finish


EngineT = TypeVar("EngineT", bound=Timed)


def against_the_clock(engine: EngineT, sessions: int) -> tuple[Run, EngineT]:
    cameras = [Frame.from_rgb(torch.zeros((2, 2, 3), dtype=torch.uint8).numpy())]
    return clocked(Sessions(cast(Any, engine), [cast(Any, None)] * sessions, cameras), 0.6), engine


def test_sessions_that_are_served_in_time_are_held() -> None:
    run, engine = against_the_clock(Timed(0.004), 3)
    assert run.expected == [18] * 3
    assert min(run.painted) >= 15  # a busy machine loses one now and then
    assert max(engine.sizes) <= 3
    assert 4 < run.p95_ms < 300


def test_sessions_that_are_not_served_in_time_are_not_held() -> None:
    run, engine = against_the_clock(Timed(0.1), 6)
    assert max(engine.sizes) == 4
    assert run.least_fps < 15
    assert 100 < run.p95_ms < 450
    assert not run.holds


def test_a_batch_is_begun_before_the_last_is_fetched_where_the_engine_can() -> None:
    run, engine = against_the_clock(Overlapped(0.02), 6)
    assert engine.deepest == 2
    assert engine.under_way == []
    assert sum(run.painted) == len(run.latencies) > 30


def test_what_holds_means() -> None:
    assert Run([60, 60], [60, 59], [1.0, MOST_P95_MS - 1]).holds
    assert not Run([60, 60], [60, 58], [1.0]).holds  # 29 fps
    assert not Run([60], [60], [MOST_P95_MS + 1]).holds
    assert CAMERA_FPS * 59 / 60 == LEAST_FPS


def test_a_section_that_fails_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    def fail(rig: Rig) -> dict[str, float | None]:
        raise RuntimeError("no | kernel")

    rig = cast(Rig, SimpleNamespace(found={}))
    sections = {"one": program.run(rig, "one", fail), "two": program.run(rig, "two", lambda rig: {"x_ms": 0.5})}
    assert rig.found == {"two": {"x_ms": 0.5}}
    result = report.new(torch.device("cpu"), True, sections)
    assert result.failed
    paths = result.write(tmp_path)
    written = json.loads(paths[0].read_text())["sections"]
    assert written["one"]["failed"] == "RuntimeError: no | kernel"
    assert written["two"]["figures"] == {"x_ms": 0.5}
    assert "| one | **failed** | RuntimeError: no / kernel |" in paths[1].read_text()
    assert not report.new(torch.device("cpu"), True, {"two": Section(1.0, {"x": None})}).failed


def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["run.sh"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert program.main() == 3
    assert "--small" in capsys.readouterr().err


@pytest.mark.slow
def test_all_of_it_runs_small(tmp_path: Path) -> None:
    results = sorted((ROOT / "bench" / "results").iterdir())
    dead = {f"{scheme}_proxy": "http://127.0.0.1:9" for scheme in ("http", "https")}  # who asks the network fails
    done = subprocess.run(
        [ROOT / "bench" / "gpu" / "run.sh", "--small", "--out", tmp_path],
        env=os.environ | dead | {"PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = tmp_path.glob("*.json")
    written = json.loads(path.read_text())
    assert written["small"] is True
    figures = {name: section["figures"] for name, section in written["sections"].items()}
    assert {name: list(found) for name, found in figures.items()} == SECTIONS
    for section, found in figures.items():
        for name, value in found.items():
            if value is None:
                assert ON_A_GPU.search(name), f"{section}: {name}"
            elif name.endswith("_cost_percent"):
                assert value < 100
            elif name not in ("sessions", "steps_1_mean_levels", "steps_4_mean_levels"):
                assert 0 < value < 1e5, f"{section}: {name} is {value}"
    assert 0 <= figures["held"]["sessions"] <= SMALL.most_sessions
    assert 0 < figures["precision"]["steps_1_mean_levels"] < 1
    assert figures["precision"]["steps_4_max_levels"] < 10
    assert figures["memory"]["weights_mb"] == pytest.approx(0.27, abs=0.02)
    table = path.with_suffix(".md").read_text()
    assert table.count("\n| ") == 2 + len(SECTIONS) + sum(map(len, SECTIONS.values())), "a line for each figure"
    assert sorted((ROOT / "bench" / "results").iterdir()) == results
