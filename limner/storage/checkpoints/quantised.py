"""Quantised weights for shipping: matrices as int8 with a scale per row, the rest as float16.

A row's scale is its largest magnitude / 127, rounded up to float16. What is drawn with are the
numbers that come back from this, in PyTorch as in ONNX Runtime, so both draw the same picture.
Packing them again gives the same bytes, but for rows below 0.008, whose scales float16 holds with
fewer digits.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limner.errors import WeightsError
from limner.storage.checkpoints.weights import Checkpoint

_SCALE = ".scale"
_MIN_SIDE = 64  # smaller matrices, and all vectors and convolutions, are too small to matter


def pack(arrays: Mapping[str, NDArray[np.floating]]) -> dict[str, NDArray[Any]]:
    """Quantise arrays by name: to int8 with float16 (rows, 1) scales, or to float16.

    Raises WeightsError for numbers that cannot be stored: not finite, or beyond float16.
    """
    packed: dict[str, NDArray[Any]] = {}
    for name, array in arrays.items():
        if array.ndim == 2 and min(array.shape) >= _MIN_SIDE:
            scale = _rounded_up(np.abs(array).max(axis=1, keepdims=True) / 127)
            _check(name, scale)
            packed[name] = np.rint(array / scale.astype(np.float32)).astype(np.int8)
            packed[name + _SCALE] = scale
        else:
            with np.errstate(over="ignore"):  # told below
                packed[name] = array.astype(np.float16)
            _check(name, packed[name])
    return packed


def _rounded_up(scale: NDArray[np.floating]) -> NDArray[np.float16]:
    """Round up to float16, so that the row's largest magnitude is at most 127 steps."""
    with np.errstate(over="ignore"):
        near = scale.astype(np.float16)
        above = np.where(near < scale, np.nextafter(near, np.float16(np.inf)), near)
    # A row of zeros must not divide by zero.
    return np.maximum(above, np.float16(1e-7))


def _check(name: str, stored: NDArray[np.float16]) -> None:
    if not np.isfinite(stored).all():
        raise WeightsError(
            f"Weights {name} hold numbers that cannot be stored: infinite, or not numbers at all",
            hint="the training has diverged: train again with a lower rate",
        )


def shards(packed: Mapping[str, NDArray[Any]], limit: int) -> list[dict[str, NDArray[Any]]]:
    """Split the arrays, in order, into shards of at most `limit` bytes (or one array)."""
    parts: list[dict[str, NDArray[Any]]] = [{}]
    size = 0
    for name, array in packed.items():
        if parts[-1] and size + array.nbytes > limit:
            parts.append({})
            size = 0
        parts[-1][name] = array
        size += array.nbytes
    return parts


def read(checkpoint: Checkpoint) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """Read a checkpoint's shards: the packed arrays, and the block tables unchanged."""
    stored: dict[str, NDArray[Any]] = {}
    for name in checkpoint.entries:
        if name.startswith("weights-"):
            stored |= checkpoint.tensors(name.removesuffix(".safetensors"))
    tables = {name: array for name, array in stored.items() if name.endswith("table")}
    return {n: a for n, a in stored.items() if n not in tables}, tables


def unpack(packed: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    """Undo `pack`: float32 arrays by name."""
    arrays = {}
    for name, stored in packed.items():
        if name.endswith(_SCALE):
            continue
        array = stored.astype(np.float32)
        if stored.dtype == np.int8:
            array *= packed[name + _SCALE].astype(np.float32)
        arrays[name] = array
    return arrays
