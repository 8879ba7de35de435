"""What is exported: each graph's module, example inputs, and which of their dimensions vary."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from limner.engines.transformer.backends import modules
from limner.model.bundle import Bundle
from limner.model.planner import Planner, PlannerScores
from limner.model.transformer import TransformerConfig
from limner.sampling.cells import Positions

# Sizes of the example inputs; any that differ from each other and from 1 do.
_ROWS, _TEXT, _PAST, _NOW, _ASKED, _PICTURES, _N = 2, 5, 6, 3, 4, 2, 7

Dims = dict[int, str]
_Inputs = dict[str, tuple[Any, Any]]  # name to example and varying dimensions


@dataclass(frozen=True)
class Graph:
    """What is exported: a module, example inputs, and which of their dimensions vary."""

    module: nn.Module
    inputs: dict[str, Any]  # tensors and lists of them
    varying: dict[str, Any]  # Dims of each input, or a list of them for a list
    outputs: tuple[str, ...]


def graphs(bundle: Bundle) -> dict[str, Graph]:
    """All graphs of a model by the name of their file."""
    specified = _specified(bundle)
    return {
        name: _graph(module, *specified[name]) for name, module in modules.of_bundle(bundle).items()
    }


def planner_graph(planner: Planner) -> Graph:
    """The planner's graph."""
    ids = torch.arange(3, 13).reshape(2, 5)
    inputs = {"ids": (ids, {0: "rows", 1: "text"})}
    return _graph(modules.PlannerGraph(planner.eval()), inputs, PlannerScores._fields)


def _graph(module: nn.Module, inputs: _Inputs, outputs: tuple[str, ...]) -> Graph:
    examples = {name: example for name, (example, _) in inputs.items()}
    return Graph(module, examples, {name: dims for name, (_, dims) in inputs.items()}, outputs)


def _specified(bundle: Bundle) -> dict[str, tuple[_Inputs, tuple[str, ...]]]:
    """Inputs and outputs of all graphs that a model may have."""
    config, px = bundle.config.transformer, bundle.config.image_tokenizer.image_px
    square = {"codes": (_whole(_PICTURES, config.n_cells, config.n_groups), {0: "n"})}
    picture = torch.zeros(2, 4, px, px)
    found: dict[str, tuple[_Inputs, tuple[str, ...]]] = {
        "text": (
            {"text": (torch.ones(_ROWS, _TEXT, dtype=torch.long), {0: "rows", 1: "text"})},
            ("memory_out", "mask_out", "unit_vector"),
        ),
        "step": (_step(config), ("hidden", "scores", "fresh")),
        "image": (square, ("unit_vector",)),
        "pixels": (square, ("pictures",)),
        "codes": ({"pictures": (picture, {0: "n"})}, ("codes",)),
    }
    for group in range(1, config.n_groups):
        found[f"code{group}"] = (_later(config, group), ("scores",))
    for i in range(len(bundle.upscalers)):
        dims = {0: "n", 2: "height", 3: "width"}
        found[f"upscale{i + 1}"] = ({"pictures": (picture, dims)}, ("larger",))
    if bundle.restorer is not None:
        side = 4 * bundle.restorer.config.multiple
        drawn = torch.zeros(2, 4, side, 2 * side)
        found["restore"] = (
            {"pictures": (drawn, {0: "n", 2: "height", 3: "width"})},
            ("larger",),
        )
    return found | _specified_layouts(config)


def _step(config: TransformerConfig) -> _Inputs:
    """Inputs of a step on a square."""
    masks = torch.ones(config.n_content_layers, _NOW, _PAST + _NOW, dtype=torch.bool)
    mask = torch.ones(_ROWS, 1, 1, _TEXT, dtype=torch.bool)
    return {
        "memory": _memory(config),
        "mask": (mask, {0: "rows", 3: "text"}),
        "cache": _cache(config),
        "known": (_whole(_ROWS, _NOW, config.n_groups), {0: "rows", 1: "now"}),
        "known_places": (_whole(_ROWS, _NOW), {0: "rows", 1: "now"}),
        "places": (_whole(_ROWS, _ASKED), {0: "rows", 1: "asked"}),
        "masks": (masks, {1: "now", 2: "filled"}),
    }


def _later(config: TransformerConfig, group: int) -> _Inputs:
    """Inputs of the scores of a cell's code `group`, above 0."""
    dims = {0: "rows", 1: "asked"}
    return {
        "hidden": (torch.zeros(_ROWS, _ASKED, config.d), dims),
        "codes": (_whole(_ROWS, _ASKED, group), dims),
    }


def _specified_layouts(config: TransformerConfig) -> dict[str, tuple[_Inputs, tuple[str, ...]]]:
    """What layouts need beside the graphs of a square; canvases are of any sides."""
    step = {
        "memory": _memory(config),
        "told": (_whole(_ROWS, _TEXT), {0: "rows", 1: "text"}),
        "cache": _cache(config),
        "seen": (_whole(_ROWS, _PAST), {0: "rows", 1: "past"}),
        "codes": (_whole(_ROWS, _NOW, config.n_groups), {0: "rows", 1: "now"}),
        "known": _positions(_NOW, "now"),
        "asked": _positions(_ASKED, "asked"),
    }
    cells = (_whole(_ROWS, _N, config.n_groups), {0: "rows", 1: "n"})
    canvas = (_whole(_ROWS, _N, _N + 1, config.n_groups), {0: "n", 1: "rows", 2: "columns"})
    return {
        "layout_step": (step, ("hidden", "scores", "fresh")),
        "layout_image": ({"codes": cells, "places": _positions(_N, "n")}, ("unit_vector",)),
        "layout_pixels": ({"codes": canvas}, ("pictures",)),
    }


def _memory(config: TransformerConfig) -> tuple[Tensor, Dims]:
    n_layers, heads = config.n_content_layers + config.n_query_layers, config.n_heads
    example = torch.zeros(_ROWS, n_layers, 2, heads, _TEXT, config.d // heads)
    return example, {0: "rows", 4: "text"}


def _cache(config: TransformerConfig) -> tuple[Tensor, Dims]:
    n_layers, heads = config.n_content_layers + 1, config.n_heads
    example = torch.zeros(_ROWS, n_layers, 2, heads, _PAST, config.d // heads)
    return example, {0: "rows", 4: "past"}


def _whole(*shape: int) -> Tensor:
    return torch.zeros(*shape, dtype=torch.long)


def _positions(n: int, dim: str) -> tuple[list[Tensor], list[Dims]]:
    """Example inputs of the fields of `Elements`."""
    positions = Positions(*_NO_POSITIONS).take(np.zeros((_ROWS, n), np.int64))
    examples = [torch.from_numpy(getattr(positions, field.name)) for field in fields(Positions)]
    return examples, [{0: "rows", 1: dim} for _ in examples]


_NO_POSITIONS = (
    np.zeros(1, np.int64),
    *(np.zeros((1, 4), np.int64), np.zeros((1, 4), np.float32)) * 2,
    np.zeros((1, 2), np.float32),
    np.zeros((1, 2), np.int64),
)
