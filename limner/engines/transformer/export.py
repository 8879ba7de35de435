"""From a trained bundle to the files that the ONNX engine draws from.

One graph a purpose, none of which holds weights: they all take theirs by name from one file of
packed numbers, so that what several graphs share is stored once.
"""

import hashlib
import io
import logging
import warnings
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from limner.engines.transformer import planner_export
from limner.engines.transformer.torch_backend import shape_of
from limner.model.bundle import Bundle
from limner.model.layout_transformer import (
    Elements,
    LayoutTransformer,
    Told,
    token_marks,
)
from limner.model.planner import Planner
from limner.model.transformer import EncodedText
from limner.sampling.cells import Places
from limner.storage.checkpoints import quantised, weights
from limner.text.text_tokenizer import TextTokenizer

KIND = "limner-onnx"
_LARGE = 256  # bytes; smaller constants stay in the graph
_PREFIX = "model."
_SHARD_BYTES = 15 * 2**20  # so that each file passes where 16 MiB is the most
TURNED = "^T"

Dims = dict[int, str]


class TextGraph(nn.Module):
    """text (R, T) to memory (R, n_layers, 2, H, T, D_head), mask (R, 1, 1, T), embedding (R, E)."""

    def __init__(self, model: Bundle) -> None:
        super().__init__()
        self.model = model

    def forward(self, text: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Read texts."""
        transformer = self.model.transformer
        memory = transformer.encode_prompt(text)
        stacked = torch.stack([torch.stack(keys, dim=1) for keys in memory.keys], dim=1)
        return stacked, memory.mask, transformer.embed_text(text)


class StepGraph(nn.Module):
    """`Transformer.step`, with the memory as one tensor and the first code's scores."""

    def __init__(self, model: Bundle) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        memory: Tensor,
        mask: Tensor,
        cache: Tensor,
        known: Tensor,
        known_places: Tensor,
        places: Tensor,
        masks: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Read cells and look at the next ones."""
        transformer = self.model.transformer
        keys = [(memory[:, i, 0], memory[:, i, 1]) for i in range(memory.shape[1])]
        hidden, fresh = transformer.step(
            EncodedText(keys, mask), cache, known, known_places, places, masks
        )
        return hidden, transformer.head.first(hidden), fresh


class LaterGraph(nn.Module):
    """hidden (R, Q, D) and codes (R, Q, g) to the scores (R, Q, V) of code g."""

    def __init__(self, model: Bundle) -> None:
        super().__init__()
        self.model = model

    def forward(self, hidden: Tensor, codes: Tensor) -> Tensor:
        """Score the next code."""
        return self.model.transformer.head.after(hidden, codes)


class ImageGraph(nn.Module):
    """Codes (B, n_cells, n_groups) to their unit vectors (B, E) in the contrastive space."""

    def __init__(self, model: Bundle) -> None:
        super().__init__()
        self.model = model

    def forward(self, codes: Tensor) -> Tensor:
        """Embed pictures."""
        return self.model.transformer.embed_image(codes)


class PixelsGraph(nn.Module):
    """Codes (B, n_cells, n_groups) to premultiplied RGBA (B, 4, px, px) in [0, 1]."""

    def __init__(self, model: Bundle) -> None:
        super().__init__()
        self.model = model

    def forward(self, codes: Tensor) -> Tensor:
        """Decode pictures."""
        return self.model.image_tokenizer.decode(codes).clamp(0, 1)


class CodesGraph(nn.Module):
    """Premultiplied RGBA (B, 4, px, px) in [0, 1] to codes (B, n_cells, n_groups)."""

    def __init__(self, model: Bundle) -> None:
        super().__init__()
        self.model = model

    def forward(self, pictures: Tensor) -> Tensor:
        """Encode pictures."""
        return self.model.image_tokenizer.encode(pictures)


class UpscaleGraph(nn.Module):
    """One pass of the upscalers: (B, 4, H, W) to (B, 4, 4H, 4W), both in [0, 1]."""

    def __init__(self, model: Bundle, index: int) -> None:
        super().__init__()
        self.model, self.index = model, index

    def forward(self, pictures: Tensor) -> Tensor:
        """Enlarge pictures."""
        larger: Tensor = self.model.upscalers[self.index](pictures)
        return larger.clamp(0, 1)


class LayoutStepGraph(nn.Module):
    """`LayoutTransformer.step_layout`, all inputs as tensors, and the first code's scores."""

    def __init__(self, model: Bundle) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        memory: Tensor,
        told: Tensor,
        cache: Tensor,
        seen: Tensor,
        codes: Tensor,
        known: list[Tensor],
        asked: list[Tensor],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Read cells and look at the next ones; known, asked: the fields of `Elements`."""
        transformer = self.model.transformer
        assert isinstance(transformer, LayoutTransformer)
        keys = [(memory[:, i, 0], memory[:, i, 1]) for i in range(memory.shape[1])]
        hidden, fresh = transformer.step_layout(
            Told(keys, token_marks(told)), cache, seen, codes, Elements(*known), Elements(*asked)
        )
        return hidden, transformer.head.first(hidden), fresh


class LayoutImageGraph(nn.Module):
    """Codes (B, n, n_groups) of cells, and their places, to unit vectors (B, E)."""

    def __init__(self, model: Bundle) -> None:
        super().__init__()
        self.model = model

    def forward(self, codes: Tensor, places: list[Tensor]) -> Tensor:
        """Embed pictures."""
        transformer = self.model.transformer
        assert isinstance(transformer, LayoutTransformer)
        return transformer.embed_cells(codes, Elements(*places))


class RowsGraph(nn.Module):
    """Codes (B, rows, columns, n_groups) to premultiplied RGBA of eight pixels a cell."""

    def __init__(self, model: Bundle) -> None:
        super().__init__()
        self.model = model

    def forward(self, codes: Tensor) -> Tensor:
        """Decode canvases of any sides."""
        return self.model.image_tokenizer.decode_rows(codes).clamp(0, 1)


@dataclass(frozen=True)
class Graph:
    """What is exported: a module, example inputs, and which of their dimensions vary."""

    module: nn.Module
    inputs: dict[str, Any]  # tensors and lists of them
    varying: dict[str, Any]  # Dims of each input, or a list of them for a list
    outputs: tuple[str, ...]


def export(
    bundle: Bundle,
    text_tokenizer: TextTokenizer,
    folder: Path,
    about: dict[str, Any],
    planner: Planner | None = None,
) -> weights.Checkpoint:
    """Write a folder that `OnnxEngine` draws from; returns it.

    about: name, version and figures that go into its config. The bundle's weights become what can
    be stored of them, so that it draws the same pictures as the files. Raises OutputError if they
    cannot be written.
    """
    bundle = bundle.eval()
    packed = quantised.pack(bundle.float_arrays())
    tables = {name: value.numpy() for name, value in bundle.state_dict().items() if "table" in name}
    bundle.load_arrays({**quantised.unpack(packed), **tables})
    wanted, shapes = graphs(bundle), bundle.config.to_dict()
    if planner is not None:
        packed |= planner_export.pack(planner)
        wanted["planner"] = Graph(*planner_export.graph(planner))
        shapes["planner"] = asdict(planner.config)
    exported = {name: _exported(graph) for name, graph in wanted.items()}
    contents = {f"{name}.onnx": model for name, (model, _) in exported.items()}
    contents["text_tokenizer.json"] = text_tokenizer.to_json().encode()
    config = {
        "kind": KIND,
        **about,
        "model": shapes,
        "graphs": {name: wanted for name, (_, wanted) in exported.items()},
    }
    parts = quantised.shards({**packed, **tables}, _SHARD_BYTES)
    tensors = {f"weights-{i + 1}-of-{len(parts)}": part for i, part in enumerate(parts)}
    return weights.write(folder, config, tensors=tensors, contents=contents, replace=True)


def graphs(bundle: Bundle) -> dict[str, Graph]:
    """All graphs by the name of their file.

    Weights that draw layouts have the graphs of a square too: single things, edits and
    variations are drawn by these.
    """
    config, shape = bundle.config.transformer, shape_of(bundle.transformer)
    layers, two, heads, d_head = shape.cache
    n_text_layers = config.n_content_layers + config.n_query_layers
    rows, text, past, now, asked, pictures = 2, 5, 6, 3, 4, 2
    codes = torch.zeros(pictures, config.n_cells, config.n_groups, dtype=torch.long)
    step = {
        "memory": torch.zeros(rows, n_text_layers, 2, heads, text, d_head),
        "mask": torch.ones(rows, 1, 1, text, dtype=torch.bool),
        "cache": torch.zeros(rows, layers, two, heads, past, d_head),
        "known": torch.zeros(rows, now, config.n_groups, dtype=torch.long),
        "known_places": torch.zeros(rows, now, dtype=torch.long),
        "places": torch.zeros(rows, asked, dtype=torch.long),
        "masks": torch.ones(config.n_content_layers, now, past + now, dtype=torch.bool),
    }
    step_varies = {
        "memory": {0: "rows", 4: "text"},
        "mask": {0: "rows", 3: "text"},
        "cache": {0: "rows", 4: "past"},
        "known": {0: "rows", 1: "now"},
        "known_places": {0: "rows", 1: "now"},
        "places": {0: "rows", 1: "asked"},
        "masks": {1: "now", 2: "filled"},
    }
    found = {
        "text": Graph(
            TextGraph(bundle),
            {"text": torch.ones(rows, text, dtype=torch.long)},
            {"text": {0: "rows", 1: "text"}},
            ("memory_out", "mask_out", "unit_vector"),
        ),
        "step": Graph(StepGraph(bundle), step, step_varies, ("hidden", "scores", "fresh")),
        "image": Graph(ImageGraph(bundle), {"codes": codes}, {"codes": {0: "n"}}, ("unit_vector",)),
        "pixels": Graph(PixelsGraph(bundle), {"codes": codes}, {"codes": {0: "n"}}, ("pictures",)),
    }
    found |= _later_graphs(bundle) | _picture_graphs(bundle)
    return found | _layout_graphs(bundle) if config.layouts else found


def _later_graphs(bundle: Bundle) -> dict[str, Graph]:
    """Scores of a cell's codes after the first, and enlarging."""
    found, rows, asked, config = {}, 2, 4, bundle.config.transformer
    for group in range(1, config.n_groups):
        later = {
            "hidden": torch.zeros(rows, asked, config.d),
            "codes": torch.zeros(rows, asked, group, dtype=torch.long),
        }
        varies = {name: {0: "rows", 1: "asked"} for name in later}
        found[f"code{group}"] = Graph(LaterGraph(bundle), later, varies, ("scores",))
    px = bundle.config.image_tokenizer.image_px
    for i in range(len(bundle.upscalers)):
        found[f"upscale{i + 1}"] = Graph(
            UpscaleGraph(bundle, i),
            {"pictures": torch.zeros(2, 4, px, px)},
            {"pictures": {0: "n", 2: "height", 3: "width"}},
            ("larger",),
        )
    return found


def _picture_graphs(bundle: Bundle) -> dict[str, Graph]:
    """Pictures of the one size to codes."""
    px = bundle.config.image_tokenizer.image_px
    picture = {"pictures": torch.zeros(2, 4, px, px)}
    return {"codes": Graph(CodesGraph(bundle), picture, {"pictures": {0: "n"}}, ("codes",))}


def _layout_graphs(bundle: Bundle) -> dict[str, Graph]:
    """What layouts need beside the graphs of a square; canvases are of any sides."""
    config = bundle.config.transformer
    n_text_layers = config.n_content_layers + config.n_query_layers
    heads, d_head = config.n_heads, config.d // config.n_heads
    rows, text, past, now, asked, n = 2, 5, 6, 3, 4, 7
    known, now_asked = _places(rows, now), _places(rows, asked)
    step = {
        "memory": torch.zeros(rows, n_text_layers, 2, heads, text, d_head),
        "told": torch.zeros(rows, text, dtype=torch.long),
        "cache": torch.zeros(rows, config.n_content_layers + 1, 2, heads, past, d_head),
        "seen": torch.zeros(rows, past, dtype=torch.long),
        "codes": torch.zeros(rows, now, config.n_groups, dtype=torch.long),
        "known": known,
        "asked": now_asked,
    }
    step_varies = {
        "memory": {0: "rows", 4: "text"},
        "told": {0: "rows", 1: "text"},
        "cache": {0: "rows", 4: "past"},
        "seen": {0: "rows", 1: "past"},
        "codes": {0: "rows", 1: "now"},
        "known": [{0: "rows", 1: "now"}] * len(known),
        "asked": [{0: "rows", 1: "asked"}] * len(now_asked),
    }
    image = {"codes": torch.zeros(rows, n, config.n_groups, dtype=torch.long)}
    image_varies = {0: "rows", 1: "n"}
    canvas = torch.zeros(rows, n, n + 1, config.n_groups, dtype=torch.long)
    return {
        "layout_step": Graph(
            LayoutStepGraph(bundle), step, step_varies, ("hidden", "scores", "fresh")
        ),
        "layout_image": Graph(
            LayoutImageGraph(bundle),
            {**image, "places": _places(rows, n)},
            {"codes": image_varies, "places": [image_varies] * len(fields(Places))},
            ("unit_vector",),
        ),
        "layout_pixels": Graph(
            RowsGraph(bundle),
            {"codes": canvas},
            {"codes": {0: "n", 1: "rows", 2: "columns"}},
            ("pictures",),
        ),
    }


def _places(rows: int, n: int) -> list[Tensor]:
    """Example inputs of the fields of `Elements`."""
    places = Places(*_NO_PLACES).take(np.zeros((rows, n), np.int64))
    return [torch.from_numpy(getattr(places, field.name)) for field in fields(Places)]


_NO_PLACES = (
    np.zeros(1, np.int64),
    *(np.zeros((1, 4), np.int64), np.zeros((1, 4), np.float32)) * 2,
    np.zeros((1, 2), np.float32),
    np.zeros((1, 2), np.int64),
)


def _exported(graph: Graph) -> tuple[bytes, list[str]]:
    """A graph without its weights, and the names of the weights that it wants."""
    dims = {name: _dynamic(graph.varying[name]) for name in graph.inputs}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
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
    """Names of a graph's inputs: those of a list are the fields of `Places` after its own."""
    if isinstance(value, Tensor):
        return [name]
    return [f"{name}_{field.name}" for field in fields(Places)]


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
            name_from_content[_content(array)] = name.removeprefix(_PREFIX)
            if array.ndim == 2:
                name_from_content[_content(array.T)] = name.removeprefix(_PREFIX) + TURNED
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
