"""From the public files of DALL·E mini to a folder of weights, once.

The files are pickles; only tensors are read of them. Their layouts are that of the repository
(`encoder_mini.pt`, `decoder_mini.pt`, `detoker.pt`, `vocab_mini.json`, `merges_mini.txt`; without
`_mini` for mega) and that of min-dalle's own folder.
"""

from __future__ import annotations

import logging
import pickle
from pathlib import Path

import torch
from torch import Tensor

from limner.engines.dalle_mini import weights_folder
from limner.engines.dalle_mini.weights_folder import KIND, MERGES, PARTS, VOCABULARY
from limner.errors import DataError
from limner.storage.checkpoints import weights
from limner.storage.checkpoints.weights import Checkpoint

log = logging.getLogger("limner.engines")

_PATTERNS = {
    "encoder": "encoder*.pt",
    "decoder": "decoder*.pt",
    "detokenizer": "detoker.pt",
    VOCABULARY: "vocab*.json",
    MERGES: "merges*.txt",
}


def convert(source: Path, folder: Path) -> Checkpoint:
    """Write the model whose files are in `source`, or in folders of it, as the folder of weights.

    Tensors keep their type. Takes as much memory as the files are large, twice. Raises DataError
    for files that are missing, or that hold anything but tensors, WeightsError for tensors of
    another network, OutputError if `folder` exists or cannot be written.
    """
    paths = {part: _only(source, pattern) for part, pattern in _PATTERNS.items()}
    weights_folder.read_words(paths[VOCABULARY], paths[MERGES])
    arrays = {}
    for part in PARTS:
        tensors = _tensors(paths[part])
        names = weights_folder.wanted(part, tensors)
        if others := sorted(set(tensors) - set(names)):
            log.warning("%s: not used: %s", paths[part].name, ", ".join(others))
        kept = {name: tensors[name].contiguous() for name in names}
        weights_folder.filled(part, kept)  # every size fits
        arrays[part] = {name: tensor.numpy() for name, tensor in kept.items()}
    contents = {name: paths[name].read_bytes() for name in (VOCABULARY, MERGES)}
    n_parameters = sum(array.size for part in arrays.values() for array in part.values())
    config = {"kind": KIND, "n_parameters": n_parameters}
    return weights.write(folder, config, tensors=arrays, contents=contents)


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.rglob(pattern))
    if len(found) == 1:
        return found[0]
    if not found:
        raise DataError(
            f"There is no {pattern} in {folder}",
            hint="a model is encoder, decoder and detoker (.pt), vocab.json and merges.txt",
        )
    names = ", ".join(str(path.relative_to(folder)) for path in found)
    raise DataError(
        f"{folder} has several files {pattern}: {names}",
        hint="copy the files of one model, mini or mega, into a folder of their own",
    )


def _tensors(path: Path) -> dict[str, Tensor]:
    """What a .pt file holds. Nothing in it is run."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DataError(
            f"{path} holds more than tensors, or is damaged; it was not read, as it could run code",
            hint="download the file again from where its makers keep it",
        ) from error
    except (OSError, EOFError, RuntimeError, ValueError, KeyError) as error:
        raise DataError(
            f"{path} cannot be read: {' '.join(str(error).split())[:200] or type(error).__name__}",
            hint="download the file again",
        ) from error
    is_tensors = isinstance(found, dict) and all(isinstance(t, Tensor) for t in found.values())
    if not is_tensors:
        raise DataError(
            f"{path} holds no table of tensors",
            hint="take the encoder, decoder and detoker of the public weights for min-dalle",
        )
    return dict(found)
