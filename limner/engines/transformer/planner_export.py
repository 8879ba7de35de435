"""The planner as a graph and as packed weights; `onnx_export` writes them beside the others."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from limner.model.planner import Planner, PlannerScores
from limner.storage.checkpoints import quantised

_PREFIX = "planner."


class PlannerGraph(nn.Module):
    """ids (B, T) to the five scores of `PlannerScores`."""

    def __init__(self, planner: Planner) -> None:
        super().__init__()
        self.planner = planner

    def forward(self, ids: Tensor) -> tuple[Tensor, ...]:
        """Read prompts."""
        return tuple(self.planner(ids))


def pack(planner: Planner) -> dict[str, NDArray[Any]]:
    """The planner's weights as they are stored, by their names in the file.

    The planner takes the stored numbers over, so that it reads as the exported graph does.
    """
    state = planner.state_dict()
    packed = quantised.pack({_PREFIX + name: t.detach().numpy() for name, t in state.items()})
    stored = quantised.unpack(packed)
    planner.load_state_dict({name: torch.from_numpy(stored[_PREFIX + name]) for name in state})
    return packed


def graph(
    planner: Planner,
) -> tuple[nn.Module, dict[str, Tensor], dict[str, dict[int, str]], tuple[str, ...]]:
    """The module, example inputs, varying dimensions and outputs of `onnx_export.Graph`."""
    ids = torch.from_numpy(np.arange(3, 13).reshape(2, 5))
    varying = {"ids": {0: "rows", 1: "text"}}
    return PlannerGraph(planner.eval()), {"ids": ids}, varying, PlannerScores._fields
