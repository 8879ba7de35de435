"""The roofline of drawing: the least time for its operations and bytes on this machine.

Operations are counted on the modules that the graphs were exported from, with shapes only
(PyTorch's "meta" device). Every matrix product and convolution counts its operations, and its
bytes: inputs, weights and result once each, four bytes a number. Other operations count as free, as
if fused. The least time of a part is the sum, over its products, of the larger of operations / peak
and bytes / bandwidth.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from limner.engines.transformer.backends.modules import (
    LaterGraph,
    PixelsGraph,
    StepGraph,
    TextGraph,
    UpscaleGraph,
)
from limner.model.bundle import Bundle, BundleConfig
from limner.sampling.sampling import SamplingConfig, step_sizes

PARTS = ("text", "steps", "pixels", "upscalers")
_SIDE = 1536  # of the square matrices that show the peak
_STREAMED_MB = 256  # far beyond any cache


@dataclass
class Machine:
    """Peak speed and bandwidth of the machine, measured through ONNX Runtime."""

    gflops: float  # 10⁹ float32 operations a second in a large matrix product
    gb_s: float  # 10⁹ bytes a second, a large matrix times a vector


def measure_machine(threads: int, turns: int) -> Machine:
    """Measure the machine; the best of several turns, because other load only slows it."""
    square = np.ones((_SIDE, _SIDE), np.float32)
    product = _product(threads)
    seconds = min(_times(product, square, square, turns))
    wide = np.ones((4096, _STREAMED_MB * 2**20 // 4 // 4096), np.float32)
    streamed = min(_times(product, np.ones((1, 4096), np.float32), wide, turns))
    return Machine(2 * _SIDE**3 / seconds / 1e9, wide.nbytes / streamed / 1e9)


def _product(threads: int) -> ort.InferenceSession:
    tensor = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["a", "b"], ["c"])],
        "product",
        [onnx.helper.make_tensor_value_info(name, tensor, ["m", "n"]) for name in "ab"],
        [onnx.helper.make_tensor_value_info("c", tensor, ["m", "n"])],
    )
    opset = [onnx.helper.make_opsetid("", 18)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=9)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    return ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _times(product: ort.InferenceSession, a: Any, b: Any, turns: int) -> Iterator[float]:
    product.run(None, {"a": a, "b": b})
    for _ in range(turns):
        start = time.perf_counter()
        product.run(None, {"a": a, "b": b})
        yield time.perf_counter() - start


class Work(TorchDispatchMode):
    """Collects (operations, bytes) of every product and convolution that runs under it."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[tuple[float, float]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func._overloadpacket in flop_registry:
            operations = flop_registry[func._overloadpacket](*args, **(kwargs or {}), out_val=out)
            tensors = [t for t in (*args, out) if isinstance(t, Tensor)]
            self.done.append((operations, 4.0 * sum(t.numel() for t in tensors)))
        return out

    def gflop(self) -> float:
        """All operations, 10⁹."""
        return sum(operations for operations, _ in self.done) / 1e9

    def least_s(self, machine: Machine) -> float:
        """Seconds at the machine's peak."""
        return (
            sum(
                max(operations / machine.gflops, n_bytes / machine.gb_s)
                for operations, n_bytes in self.done
            )
            / 1e9
        )


def count(config: dict[str, Any], sampling: SamplingConfig, n_text: int) -> dict[str, Work]:
    """The work of one 1024×1024 picture, by part.

    config: the "model" of exported weights; n_text: tokens of the prompt.
    """
    with torch.device("meta"):
        bundle = Bundle(BundleConfig.from_dict(config)).eval()
        rows = 2 * sampling.n_candidates  # with and without the prompt
        found = {part: Work() for part in PARTS}
        with torch.no_grad():
            text = torch.zeros(rows, n_text, dtype=torch.long)
            with found["text"]:
                memory, mask, _ = TextGraph(bundle.transformer)(text)
            with found["steps"]:
                _count_steps(bundle, sampling, memory, mask)
            n_cells, n_groups = (
                bundle.config.transformer.n_cells,
                bundle.config.transformer.n_groups,
            )
            with found["pixels"]:
                picture = PixelsGraph(bundle.image_tokenizer)(
                    torch.zeros(1, n_cells, n_groups, dtype=torch.long)
                )
            with found["upscalers"]:
                for index in range(len(bundle.upscalers)):
                    picture = UpscaleGraph(bundle.upscalers, index)(picture)
    return found


def _count_steps(bundle: Bundle, sampling: SamplingConfig, memory: Tensor, mask: Tensor) -> None:
    """What `decoding.draw_codes` runs, in shapes."""
    config, rows = bundle.config.transformer, len(memory)
    layers, d_head = config.n_content_layers, config.d // config.n_heads
    past, now = 0, 1
    for asked in step_sizes(config.n_cells, sampling.n_steps):
        hidden, _, _ = StepGraph(bundle.transformer)(
            memory,
            mask,
            torch.zeros(rows, layers + 1, 2, config.n_heads, past, d_head),
            torch.zeros(rows, now, config.n_groups, dtype=torch.long),
            torch.zeros(rows, now, dtype=torch.long),
            torch.zeros(rows, asked, dtype=torch.long),
            torch.ones(layers, now, past + now, dtype=torch.bool),
        )
        for group in range(1, config.n_groups):
            LaterGraph(bundle.transformer)(
                hidden, torch.zeros(rows, asked, group, dtype=torch.long)
            )
        past, now = past + now, asked
