"""A PyTorch module as the bytes of an ONNX graph without its weights."""

import hashlib
import io
import logging
import warnings
from dataclasses import fields
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from limner.engines.transformer.backends.weights_folder import TURNED
from limner.engines.transformer.export.graphs import Graph
from limner.sampling.cells import Positions

_LARGE = 256  # bytes; smaller constants stay in the graph


def written(graph: Graph) -> tuple[bytes, list[str]]:
    """A graph without its weights, and the names of the weights that it wants."""
    dims = {name: _dynamic(graph.varying[name]) for name in graph.inputs}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    # Without gradients modules take the operations that every runtime has. With them, positions
    # became a loop over cells, which was half the time of a step.
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            graph.module,
            kwargs=graph.inputs,
            dynamic_shapes=dims,
            input_names=[name for part in graph.inputs.items() for name in _names(*part)],
            output_names=list(graph.outputs),
            dynamo=True,
            optimize=True,
            verbose=False,
        )
    assert program is not None
    buffer = io.BytesIO()
    onnx.save(program.model_proto, buffer)
    return _without_weights(onnx.load_model_from_string(buffer.getvalue()), graph.module)


def _names(name: str, value: Tensor | list[Tensor]) -> list[str]:
    """Names of a graph's inputs: those of a list are the fields of `Positions` after its own."""
    if isinstance(value, Tensor):
        return [name]
    return [f"{name}_{field.name}" for field in fields(Positions)]


def _dynamic(varying: Any) -> Any:
    if isinstance(varying, list):
        return [_dynamic(part) for part in varying]
    return dict.fromkeys(varying, torch.export.Dim.DYNAMIC)


def _without_weights(model: onnx.ModelProto, module: nn.Module) -> tuple[bytes, list[str]]:
    """The graph with each weight replaced by a note that it comes from outside, by its name.

    The exporter turns matrices round and renames them, so weights are known by their content; one
    that was turned is called "NAME^T".
    """
    name_from_content: dict[bytes, str] = {}
    for name, value in module.state_dict().items():
        if value.is_floating_point() and value.nbytes >= _LARGE:
            array = value.detach().numpy()
            name_from_content[_content(array)] = name
            if array.ndim == 2:
                name_from_content[_content(array.T)] = name + TURNED
    renamed: dict[str, str] = {}
    kept: dict[str, onnx.TensorProto] = {}
    for tensor in model.graph.initializer:
        known = name_from_content.get(_content(onnx.numpy_helper.to_array(tensor)))
        if known is not None:
            renamed[tensor.name] = known
            tensor.name = known
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value="weights")
        kept[tensor.name] = tensor  # two weights of equal content are one
    model.graph.ClearField("initializer")
    model.graph.initializer.extend(kept.values())
    for node in model.graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = renamed.get(name, name)
    for part in [*model.graph.node, model.graph]:
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    model.graph.ClearField("value_info")
    return model.SerializeToString(), sorted(set(renamed.values()))


def _content(array: NDArray[Any]) -> bytes:
    about = f"{array.dtype}{array.shape}".encode()
    return hashlib.sha256(about + np.ascontiguousarray(array).tobytes()).digest()
