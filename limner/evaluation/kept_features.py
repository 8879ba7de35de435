"""Features of drawings, kept in a file: they take minutes to compute."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from limner.arrays import Floats


def kept(path: Path | None, shape: tuple[int, int], compute: Callable[[], Floats]) -> Floats:
    """The features (N, D) in the file at `path`, or those of `compute`, which are stored there.

    A file of another shape is replaced. Without a path nothing is stored.
    """
    if path is not None and path.exists():
        found: Floats = np.load(path)
        if found.shape == shape:
            return found
    features = compute()
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.npy")
        np.save(part, features)
        os.replace(part, path)
    return features
