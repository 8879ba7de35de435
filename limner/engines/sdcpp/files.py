"""The files that stable-diffusion.cpp draws from, checked before it reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from limner.errors import DataError, SettingsError

ENDINGS = (".gguf", ".safetensors")
# What may lie in a file of its own, beside the one that is named as the model.
PARTS = ("diffusion_model", "vae", "taesd", "clip_l", "clip_g", "t5xxl", "llm")
_TEXT_ENCODERS = frozenset(("clip_l", "clip_g", "t5xxl", "llm"))
_PICKLED = (".bin", ".ckpt", ".pt", ".pth")
_GGUF = b"GGUF"


def check(path: Path) -> Path:
    """`path`, if it seems to be such a file; else a DataError."""
    if path.suffix in _PICKLED:
        raise DataError(
            f"{path} is a pickled file, and is not read",
            hint="take the model as GGUF or safetensors, which cannot run code when read",
        )
    if not path.is_file():
        raise DataError(f"There is no file {path}", hint="give a .gguf or .safetensors file")
    if path.suffix not in ENDINGS:
        raise DataError(
            f"{path} is neither GGUF nor safetensors",
            hint=f"files end in {' or '.join(ENDINGS)}",
        )
    with path.open("rb") as file:
        is_whole = file.read(4) == _GGUF if path.suffix == ".gguf" else path.stat().st_size > 8
    if not is_whole:
        raise DataError(
            f"{path} is not what its name says, or is damaged", hint="copy or download it again"
        )
    return path


def parts(given: Sequence[str]) -> dict[str, Path]:
    """The files of `part=path` texts, by part.

    Raises SettingsError for a part that is not known, DataError for a file.
    """
    found = {}
    for text in given:
        name, _, path = text.partition("=")
        if name not in PARTS or not path:
            raise SettingsError(
                f"LIMNER_SDCPP_PARTS has {text!r}",
                hint=f"write PART=PATH; parts are {', '.join(PARTS)}",
            )
        found[name] = check(Path(path).expanduser())
    return found


def paths(model: Path, parts: Mapping[str, Path]) -> dict[str, str]:
    """The files by the names of stable-diffusion.cpp's parameters.

    `model` is a whole model, whose parts others may take the place of; beside text encoders it is
    the diffusion model alone.
    """
    is_alone = _TEXT_ENCODERS & parts.keys() and "diffusion_model" not in parts
    own = "diffusion_model_path" if is_alone else "model_path"
    return {own: str(model)} | {f"{part}_path": str(path) for part, path in parts.items()}
