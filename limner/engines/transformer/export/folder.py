"""From a trained bundle to the folder that is drawn from: packed weights, graphs, and a config.

No graph holds weights: they all take theirs by name from the packed numbers, so that what several
graphs share is stored once.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from limner.engines.transformer.backends.weights_folder import KIND, PLANNER
from limner.engines.transformer.export.graphs import graphs, planner_graph
from limner.engines.transformer.export.onnx_file import written
from limner.model.bundle import Bundle
from limner.model.planner import Planner
from limner.storage.checkpoints import quantised, weights
from limner.text.text_tokenizer import TextTokenizer

_SHARD_BYTES = 15 * 2**20  # so that each file passes where 16 MiB is the most


def export(
    bundle: Bundle,
    text_tokenizer: TextTokenizer,
    folder: Path,
    about: dict[str, Any],
    planner: Planner | None = None,
) -> weights.Checkpoint:
    """Write a folder that the transformer engine draws from; returns it.

    about: name, version and figures that go into its config. The weights of bundle and planner
    become what can be stored of them, so that they draw the same pictures as the files. Raises
    OutputError if they cannot be written.
    """
    bundle = bundle.eval()
    packed = quantised.pack(bundle.float_arrays())
    tables = {name: value.numpy() for name, value in bundle.state_dict().items() if "table" in name}
    bundle.load_arrays({**quantised.unpack(packed), **tables})
    wanted, shapes = graphs(bundle), bundle.config.to_dict()
    if planner is not None:
        packed |= pack_planner(planner)
        wanted["planner"] = planner_graph(planner)
        shapes["planner"] = asdict(planner.config)
    exported = {name: written(graph) for name, graph in wanted.items()}
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


def pack_planner(planner: Planner) -> dict[str, NDArray[Any]]:
    """The planner's weights as they are stored, by their names in the file.

    The planner takes the stored numbers over, so that it reads as the exported graph does.
    """
    state = planner.state_dict()
    packed = quantised.pack({PLANNER + name: t.detach().numpy() for name, t in state.items()})
    stored = quantised.unpack(packed)
    planner.load_state_dict({name: torch.from_numpy(stored[PLANNER + name]) for name in state})
    return packed
