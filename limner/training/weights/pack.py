"""Packed runs: the EMA weights of all stages, without optimizer state.

Matrices and convolutions are stored in 8 bits with a scale for each row, the rest in 16: about a
tenth of the checkpoint. A packed run can be exported, and trained further with a new schedule. To
draw only, use `limner export`.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from limner.errors import WeightsError
from limner.storage.checkpoints import quantised
from limner.storage.files import wrap_os_errors
from limner.training.weights import checkpoint

Arrays = dict[str, NDArray[Any]]


def pack_run(run: Path, output: Path, stages: tuple[str, ...] = ()) -> Path:
    """Write the stages of `run`, or only `stages` of them, as a packed run at `output`.

    Raises WeightsError if there is nothing to pack or a checkpoint is damaged, OutputError if it
    cannot be written.
    """
    found = [folder for folder in sorted(run.glob("*")) if not stages or folder.name in stages]
    packed = [_pack_stage(folder, output / folder.name) for folder in found]
    if not any(packed):
        raise WeightsError(
            f"There is nothing to pack in {run}", hint="train a stage first: limner train"
        )
    return output


def _pack_stage(folder: Path, output: Path) -> bool:
    tokenizer = folder / "text_tokenizer.json"
    if tokenizer.exists():
        with wrap_os_errors(output):
            output.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(tokenizer, output / tokenizer.name)
        return True
    state = checkpoint.load(folder / "checkpoint")
    if state is None:
        return False
    checkpoint.save(output / "checkpoint", _light(state), {})
    return True


def _light(state: dict[str, Any]) -> dict[str, Any]:
    ema = {
        name: value.numpy()
        for name, value in checkpoint.without_training_only(state["ema"]).items()
    }
    floats = {n: a.astype(np.float32) for n, a in ema.items() if a.dtype.kind == "f"}
    flat = {name: a.reshape(len(a), -1) if a.ndim > 2 else a for name, a in floats.items()}
    return {
        "packed": _tensors(quantised.pack(flat)),
        "shapes": {name: list(array.shape) for name, array in floats.items()},
        "kept": _tensors({n: a for n, a in ema.items() if n not in floats}),
        "about": state["about"],
    }


def _tensors(arrays: Arrays) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.array(array, order="C")) for name, array in arrays.items()}
