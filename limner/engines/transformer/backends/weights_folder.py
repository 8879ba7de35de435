"""A folder of exported weights, as every backend reads it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limner.errors import WeightsError
from limner.storage.checkpoints import quantised, weights
from limner.storage.checkpoints.weights import Checkpoint

KIND = "limner-onnx"  # what config.json has said since the first version
TURNED = "^T"  # ends a weight's name in a graph that wants it transposed
PLANNER = "planner."  # begins the names of the planner's weights


@dataclass(frozen=True, eq=False)
class Weights:
    """What is in the folder."""

    checkpoint: Checkpoint
    arrays: dict[str, NDArray[np.float32]]  # by name: "transformer.…", "planner.…"
    tables: dict[str, NDArray[Any]]  # blocks of scattered attention, by name


def read(folder: Path) -> Weights:
    """Read and check a folder; WeightsError if it is missing, damaged, or of another kind."""
    checkpoint = weights.read(folder)
    if checkpoint.kind != KIND:
        raise WeightsError(
            f"Weights {folder} are of kind {checkpoint.kind!r}; drawing needs {KIND!r}",
            hint="export a training run first: limner export",
        )
    stored, tables = quantised.read(checkpoint)
    return Weights(checkpoint, quantised.unpack(stored), tables)
