"""A folder of a diffusers pipeline, read without PyTorch: its class, its files, and what is wrong.

Layout: `model_index.json` names the pipeline's class and the class of each component; a component
is a folder of that name with its configuration and weights.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limner.errors import DataError

INDEX = "model_index.json"
PICKLED = (".bin", ".pt", ".pth", ".ckpt")
_CONVERT = (
    "files of safetensors cannot run code when read, pickled ones can. Take a revision of the "
    "model that has them, or convert it where you trust it: load it with diffusers, and call "
    "save_pretrained"
)


@dataclass(frozen=True)
class PipelineFolder:
    """What a folder says of its pipeline."""

    path: Path
    class_name: str  # of diffusers, such as "StableDiffusionPipeline"
    components: dict[str, tuple[str, str]]  # (library, class) by the component's name
    n_bytes: int  # of its weights
    variant: str | None  # "fp16" if a component has only files such as model.fp16.safetensors

    def class_of(self, component: str) -> str:
        """The name of the class of a component."""
        return self.components[component][1]


def is_pipeline(path: Path) -> bool:
    """Whether `path` is a folder that says it holds a pipeline."""
    return (path / INDEX).is_file()


def read(path: Path, *, without: tuple[str, ...] = ()) -> PipelineFolder:
    """Read the pipeline in `path`; components in `without` need no weights.

    Raises DataError for a folder that holds none, lacks parts, or has pickled weights only.
    """
    told = _index(path)
    class_name = told.get("_class_name")
    if not isinstance(class_name, str):
        raise DataError(
            f"{path / INDEX} names no class of diffusers",
            hint="pipelines with code of their own are not loaded",
        )
    components = {
        name: (str(value[0]), str(value[1]))
        for name, value in told.items()
        if isinstance(value, list) and len(value) == 2 and value[0] is not None
    }
    n_bytes = 0
    variants: set[str | None] = set()
    for name in components:
        if not (path / name).is_dir():
            raise DataError(
                f"{path} has no folder {name}, which its {INDEX} names",
                hint="the copy or the download is not complete: make it again",
            )
        if name not in without:
            weights = _weights(path / name)
            n_bytes += sum(file.stat().st_size for file in weights)
            variants |= {_variant(file) for file in weights}
    # Of a component that has files without a variant, diffusers takes these whatever is said here.
    variant = next((one for one in sorted(filter(None, variants))), None)
    return PipelineFolder(path, class_name, components, n_bytes, variant)


def _index(path: Path) -> dict[str, Any]:
    try:
        told = json.loads((path / INDEX).read_text("utf-8"))
    except FileNotFoundError:
        raise DataError(
            f"{path} is no folder of a diffusers pipeline: it has no {INDEX}",
            hint="give the folder that save_pretrained wrote, or hf:OWNER/REPO",
        ) from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path / INDEX} cannot be read: {error}") from error
    if not isinstance(told, dict):
        raise DataError(f"{path / INDEX} is no JSON object")
    return told


def _weights(folder: Path) -> list[Path]:
    """The files with the weights of a component that would be read: one variant of them."""
    files = sorted(folder.iterdir())
    found = [file for file in files if file.suffix == ".safetensors"]
    pickled = [file for file in files if file.suffix in PICKLED]
    if pickled and not found:
        raise DataError(f"{pickled[0]} is a pickled file, and is not read", hint=_CONVERT)
    return [file for file in found if _variant(file) is None] or found


def _variant(file: Path) -> str | None:
    """ "fp16" of model.fp16.safetensors and model.fp16-00001-of-00002.safetensors."""
    parts = file.name.split(".")
    return parts[-2].split("-")[0] if len(parts) > 2 else None
