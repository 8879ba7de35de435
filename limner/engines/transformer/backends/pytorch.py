"""The networks in PyTorch, on the CPU or an NVIDIA GPU, in float32."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from limner.engines import cores
from limner.engines.devices import torch_device
from limner.engines.transformer.backends import modules, weights_folder
from limner.engines.transformer.backends.graphs import Array, GraphBackend, GraphNetwork, shape_of
from limner.engines.transformer.backends.weights_folder import PLANNER, Weights
from limner.model.bundle import Bundle, BundleConfig
from limner.model.planner import Planner, PlannerConfig
from limner.model.transformer import Transformer
from limner.sampling.cells import Positions


class TorchNetwork(GraphNetwork):
    """Runs a transformer, on the device where it is; training draws its samples with it."""

    def __init__(self, transformer: Transformer) -> None:
        self.transformer = transformer.eval()
        self._graphs = modules.of_transformer(transformer)
        tables = {
            f"transformer.{name}": buffer.cpu().numpy()
            for name, buffer in transformer.named_buffers()
            if name.endswith("table")
        }
        self.shape = shape_of(vars(transformer.config), tables)
        self.device = next(transformer.parameters()).device

    def run(self, graph: str, **inputs: Array | Positions) -> list[Array]:
        """All outputs of a graph."""
        return _run(self._graphs[graph], self.device, inputs)


class TorchBackend(GraphBackend):
    """The graphs of a weights folder as PyTorch modules."""

    def __init__(self, folder: Path, threads: int = 0, device: str = "auto") -> None:
        """device: "cpu", "cuda", or "auto", which is CUDA where there is one.

        threads: processor cores that PyTorch may use, in this whole process; 0 means all that
        this process may use. Raises WeightsError if the folder is missing, damaged, or of another
        kind, EngineError if the device is not there.
        """
        self.device = torch_device(device)
        weights = weights_folder.read(folder)
        super().__init__(weights, threads or cores.usable())
        torch.set_num_threads(self.threads)
        if self.device.type == "cuda":
            # Full float32 in convolutions: TensorFloat-32 has 10 bits, and codes would differ.
            torch.backends.cudnn.allow_tf32 = False
        self._graphs = {
            name: module.eval().to(self.device) for name, module in _modules(weights).items()
        }

    def run(self, graph: str, **inputs: Array | Positions) -> list[Array]:
        """All outputs of a graph."""
        return _run(self._graphs[graph], self.device, inputs)


def read_bundle(weights: Weights) -> Bundle:
    """The model of a weights folder, without its planner."""
    bundle = Bundle(BundleConfig.from_dict(weights.checkpoint.config["model"]))
    arrays = {n: array for n, array in weights.arrays.items() if not n.startswith(PLANNER)}
    bundle.load_arrays({**arrays, **weights.tables})
    return bundle.eval()


def _modules(weights: Weights) -> dict[str, nn.Module]:
    graphs, config = modules.of_bundle(read_bundle(weights)), weights.checkpoint.config["model"]
    if "planner" in config:
        planner = Planner(PlannerConfig(**config["planner"]))
        stored = {n: a for n, a in weights.arrays.items() if n.startswith(PLANNER)}
        planner.load_state_dict(
            {n.removeprefix(PLANNER): torch.from_numpy(array) for n, array in stored.items()}
        )
        graphs["planner"] = modules.PlannerGraph(planner)
    return graphs


@torch.no_grad()
def _run(
    module: nn.Module, device: torch.device, inputs: Mapping[str, Array | Positions]
) -> list[Array]:
    outputs = module(**{name: _tensors(value, device) for name, value in inputs.items()})
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return [_array(output) for output in outputs]


def _tensors(value: Array | Positions, device: torch.device) -> Tensor | list[Tensor]:
    """An input on the device; of positions, each of their fields."""
    if isinstance(value, Positions):
        return [_tensor(getattr(value, field.name), device) for field in fields(Positions)]
    return _tensor(value, device)


def _tensor(array: Array, device: torch.device) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(device)


def _array(output: Tensor) -> Array:
    if output.is_floating_point():
        output = output.float()
    array: Array = output.cpu().numpy()
    return array
