"""LoRA: small changes to a model's weights (Hu and others 2021), one at a time."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from limner.engines.latent.callbacks import Stopped
from limner.errors import DataError, Refused


def find(folder: Path) -> dict[str, Path]:
    """The files of a folder by their names without the ending. Raises DataError if none is there.

    Only safetensors are taken.
    """
    if not folder.is_dir():
        raise DataError(
            f"{folder} is no folder",
            hint="diffusion_loras is a folder with LoRA files, *.safetensors",
        )
    found = {path.stem: path for path in sorted(folder.glob("*.safetensors"))}
    if not found:
        raise DataError(
            f"{folder} holds no LoRA", hint="put *.safetensors there; other files are not read"
        )
    return found


class Loras:
    """The LoRA that a pipeline draws with now. Its other pipelines share its networks."""

    def __init__(self, pipeline: Any, files: dict[str, Path]) -> None:
        self._pipeline, self._files = pipeline, files
        self._loaded: str | None = None

    def use(self, name: str | None, weight: float) -> None:
        """Draw with the LoRA `name` times `weight` from now on; with none if it is None.

        Raises Refused, and draws with none, if it does not fit the model.
        """
        if self._loaded and self._loaded != name:
            self._unload()
        if name is None:
            return
        if not self._loaded:
            self._load(name)
        self._pipeline.set_adapters([_adapter(name)], [weight])

    def _load(self, name: str) -> None:
        file = self._files[name]
        try:
            self._pipeline.load_lora_weights(
                file.parent,
                weight_name=file.name,
                adapter_name=_adapter(name),
                local_files_only=True,
            )
            fits = any(_adapter(name) in on for on in self._pipeline.get_list_adapters().values())
        except (Stopped, MemoryError):
            self._unload()
            raise
        except Exception as error:  # of many kinds, by what does not fit
            self._unload()
            raise _misfit(name) from error
        if not fits:
            self._unload()
            raise _misfit(name)
        self._loaded = name

    def _unload(self) -> None:
        self._loaded = None
        with contextlib.suppress(ValueError):  # nothing is there
            self._pipeline.unload_lora_weights()


def _adapter(name: str) -> str:
    """A name that can be that of a module: no dots."""
    return name.replace(".", "_")


def _misfit(name: str) -> Refused:
    return Refused(
        f"LoRA {name!r} does not fit this model: it was made for another base",
        status=400,
        code="invalid_value",
        param="lora",
        hint="draw with the model that it was made for, or leave lora out",
    )
