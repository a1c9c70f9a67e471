#!/usr/bin/env bash
# Measures the diffusion engine: `bench/gpu/run.sh [--small] [--out DIR]`; PYTHON names the interpreter.
# Needs torch, diffusers, transformers, streamdiffusion, numpy, pydantic, pillow and OpenCV; no network.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export HF_HUB_OFFLINE=1
exec "${PYTHON:-python3}" -m bench.gpu "$@"
