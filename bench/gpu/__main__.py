"""The engine on a GPU, measured in one run: `bench/gpu/run.sh`, or `python -m bench.gpu`.

Needs no network and no weights: the models have their true shapes and random weights. A section that fails is told
in the report, the others go on, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import torch

from bench.gpu import report
from bench.gpu.held import held
from bench.gpu.memory import memory
from bench.gpu.models import SD15, SD_TURBO, write
from bench.gpu.precision import precision
from bench.gpu.rates import batches, graphs, sd15, steadiness, steps
from bench.gpu.report import Section
from bench.gpu.rig import FULL, SMALL, Figures, Rig
from bench.gpu.share import share
from bench.gpu.stages import stages
from bench.gpu.versus import versus
from tests.pipeline.diffusion import tiny_model

RESULTS = Path(__file__).resolve().parents[1] / "results"
SECTIONS: dict[str, Callable[[Rig], Figures]] = {
    "memory": memory,  # first, before others have taken any
    "stages": stages,
    "steps": steps,
    "batches": batches,
    "steadiness": steadiness,
    "held": held,
    "versus": versus,
    "share": share,
    "graphs": graphs,
    "precision": precision,
    "sd15": sd15,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/gpu/run.sh", description="Measures the diffusion engine on a GPU.")
    parser.add_argument(
        "--small", action="store_true", help="a tiny model and few rounds: to try it, without a GPU too"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="where the two files go")
    arguments = parser.parse_args()
    if not arguments.small and not torch.cuda.is_available():
        print("There is no CUDA device here. Try it with --small.", file=sys.stderr)
        return 3
    # Figures of a tiny model are none to keep.
    out = arguments.out or (Path(tempfile.mkdtemp(prefix="bench-gpu-")) if arguments.small else RESULTS)
    with tempfile.TemporaryDirectory() as folder:
        models = make_models(Path(folder), arguments.small)
        rig = Rig(models, SMALL if arguments.small else FULL)
        sections = {name: run(rig, name, measure) for name, measure in SECTIONS.items()}
        rig.close()
    result = report.new(rig.device, arguments.small, sections)
    print(f"\n{result.table()}")
    print(*(f"wrote {path}" for path in result.write(out)), sep="\n")
    return int(result.failed)


def make_models(folder: Path, small: bool) -> dict[str, Path]:
    """A folder for each model; the same tiny one twice if `small`."""
    print("== models", flush=True)
    if small:
        return dict.fromkeys(("sd-turbo", "sd15-lcm"), tiny_model.build(folder))
    cuda = torch.device("cuda")
    architectures = {"sd-turbo": SD_TURBO, "sd15-lcm": SD15}
    return {key: write(architecture, folder / key, cuda) for key, architecture in architectures.items()}


def run(rig: Rig, name: str, measure: Callable[[Rig], Figures]) -> Section:
    print(f"== {name}", flush=True)
    started = time.perf_counter()
    figures: Figures = {}
    failed = None
    try:
        figures = rig.found[name] = measure(rig)
    except Exception as error:  # told in the report, so that a run on a rented machine is not lost
        traceback.print_exc()
        failed = f"{type(error).__name__}: {error}"
    gc.collect()
    torch.cuda.empty_cache()
    return Section(time.perf_counter() - started, figures, failed)


if __name__ == "__main__":
    sys.exit(main())
