"""The state of a training run on disk: a checkpoint folder that holds one more file."""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from limner.errors import WeightsError
from limner.storage.checkpoints import quantised, weights

KIND = "training-run"


def save(folder: Path, state: dict[str, Any], config: dict[str, Any]) -> None:
    """Write state and config as `folder`, replacing what was there only once all is on disk.

    Raises OutputError, for example on a full disk; the previous checkpoint is then still whole.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    about = {"kind": KIND, **config}
    weights.write(folder, about, contents={"state.pt": buffer.getvalue()}, replace=True)


def load(folder: Path, device: str = "cpu") -> dict[str, Any] | None:
    """The saved state, or None if there is none. Raises WeightsError if it is damaged.

    The state of a packed run (see `pack`) has no "optimizers".
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
            f"The training run in {folder} cannot be taken up: {error}",
            hint="remove that folder to start the run anew",
        ) from error
    return _unpacked(state, device) if "packed" in state else state


def _unpacked(state: dict[str, Any], device: str) -> dict[str, Any]:
    arrays = quantised.unpack({n: value.cpu().numpy() for n, value in state["packed"].items()})
    average = {
        name: torch.from_numpy(array.reshape(state["shapes"][name])).to(device)
        for name, array in arrays.items()
    } | state["kept"]
    return {"model": average, "average": average, "step": 0, "about": state["about"]}
