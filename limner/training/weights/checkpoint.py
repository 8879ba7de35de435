"""The state of a training run on disk: a checkpoint folder with a file `state.pt`."""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from limner.errors import WeightsError
from limner.storage.checkpoints import quantised, weights

KIND = "training-run"
# Names of weights that only a schedule of training uses, and each schedule begins anew.
_TRAINING_ONLY = "teacher."


def save(folder: Path, state: dict[str, Any], config: dict[str, Any]) -> None:
    """Write state and config as `folder`; an earlier checkpoint is replaced when all is on disk.

    Raises OutputError, for example on a full disk; the previous checkpoint is then still whole.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    about = {"kind": KIND, **config}
    weights.write(folder, about, contents={"state.pt": buffer.getvalue()}, replace=True)


def load(folder: Path, device: str = "cpu") -> dict[str, Any] | None:
    """The saved state, or None if there is none. Raises WeightsError if it is damaged.

    Keys: "model" and "ema" (weights and their exponential moving average, by name), "step",
    "about", and "optimizers", which a packed run (see `pack`) has not.
    """
    if not weights.exists(folder):
        return None
    checkpoint = weights.read(folder)
    if checkpoint.kind != KIND:
        raise WeightsError(
            f"The checkpoint in {folder} is of kind {checkpoint.kind!r}, not a training run",
            hint="choose another folder for the run",
        )
    try:
        state: dict[str, Any] = torch.load(
            checkpoint.file("state.pt"), map_location=device, weights_only=True
        )
    except (RuntimeError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise WeightsError(
            f"The training run in {folder} cannot be resumed: {error}",
            hint="remove that folder to start the run anew",
        ) from error
    if "packed" in state:
        return _unpacked(state, device)
    if "average" in state:  # the earlier name of "ema"
        state["ema"] = state.pop("average")
    return state


def of_weights(weights_by_name: dict[str, Tensor], about: dict[str, Any]) -> dict[str, Any]:
    """The state of a run that starts from given weights, at step 0 and without optimizers."""
    return {"model": weights_by_name, "ema": weights_by_name, "step": 0, "about": about}


def without_training_only(weights_by_name: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights without those that drawing does not use, such as a teacher's map."""
    return {n: value for n, value in weights_by_name.items() if not n.startswith(_TRAINING_ONLY)}


def begun_with(state: dict[str, Any], fresh: dict[str, Tensor]) -> dict[str, Any]:
    """A state to begin from, with the fresh ones of the weights that only training uses."""
    own = {n: value.clone() for n, value in fresh.items() if n.startswith(_TRAINING_ONLY)}
    return state | {name: state[name] | own for name in ("model", "ema")}


def _unpacked(state: dict[str, Any], device: str) -> dict[str, Any]:
    arrays = quantised.unpack({n: value.cpu().numpy() for n, value in state["packed"].items()})
    ema = {
        name: torch.from_numpy(array.reshape(state["shapes"][name])).to(device)
        for name, array in arrays.items()
    } | state["kept"]
    return of_weights(ema, state["about"])
