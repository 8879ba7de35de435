"""Which files of a repository belong to its model, and which are refused.

Only formats that cannot run code when read are taken: safetensors, GGUF, OpenVINO's and ONNX.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from limner.errors import DataError

_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
_WEIGHTS = (".safetensors", ".gguf", ".onnx")
_TEXTS = (".json", ".txt", ".model", ".md", ".xml", ".jinja")
_PIPELINE, _LIMNER = "model_index.json", "manifest.json"
_WAY_OUT = (
    "pickled files run code when they are read. Take a revision that has safetensors "
    "(hf:OWNER/REPO@REVISION), or convert the model where you trust it: load it with diffusers, "
    "call save_pretrained, and add that folder"
)


@dataclass(frozen=True)
class RemoteFile:
    """A file that can be fetched."""

    path: str  # in the repository, with /
    n_bytes: int
    url: str
    sha256: str = ""  # of its content, if the hub knows it
    git_id: str = ""  # SHA-1 of its content as git computes it, else

    @property
    def folder(self) -> str:
        """The folder that it is in; "" is that of the repository."""
        parent = PurePosixPath(self.path).parent
        return "" if str(parent) == "." else str(parent)

    @property
    def ending(self) -> str:
        """Of its name, in small letters, with the dot."""
        return PurePosixPath(self.path).suffix.lower()


def chosen(files: Sequence[RemoteFile], path: str, source: str) -> list[RemoteFile]:
    """The files to fetch of those of a repository, below `path`, which may be one file.

    Raises DataError if there are none, or only pickled ones. source: its name, for messages.
    """
    for file in files:
        _check_path(file.path, source)
    below = [file for file in files if not path or file.path == path or _is_below(file, path)]
    if not below:
        raise DataError(f"{source} has no {path}", hint="look at the list of its files")
    if len(below) == 1 and below[0].path == path:
        return [_single(below[0], source)]
    names = {file.path.removeprefix(f"{path}/" if path else "") for file in below}
    if _PIPELINE not in names and _LIMNER not in names and not _is_ir(below):
        raise _no_model(below, source)
    folders: dict[str, list[RemoteFile]] = {}
    for file in below:
        folders.setdefault(file.folder, []).append(file)
    if _PIPELINE in names:  # beside it lie whole models in one file, which it does not need
        root = folders[path]
        folders[path] = [file for file in root if file.ending not in (*_WEIGHTS, *_PICKLED)]
    kept = [file for inside in folders.values() for file in _of_folder(inside, source)]
    return sorted(kept, key=lambda file: file.path)


def _of_folder(files: list[RemoteFile], source: str) -> list[RemoteFile]:
    """What is taken of a folder: texts, and its weights in one variant."""
    texts = [file for file in files if file.ending in _TEXTS or _is_licence(file)]
    weights = [file for file in files if file.ending in _WEIGHTS]
    ir = [file for file in files if _is_weights_of_ir(file, files)]
    pickled = [file for file in files if file.ending in _PICKLED and file not in ir]
    if pickled and not weights and not ir:
        raise DataError(f"{source} has {pickled[0].path} as a pickled file only", hint=_WAY_OUT)
    plain = [file for file in weights if not _has_variant(file)]
    indexes = [file for file in texts if not (plain and _has_variant(file))]
    return [*indexes, *(plain or weights), *ir]


def _single(file: RemoteFile, source: str) -> RemoteFile:
    if file.ending in _PICKLED:
        raise DataError(f"{source} is a pickled file", hint=_WAY_OUT)
    if file.ending not in _WEIGHTS:
        raise DataError(
            f"{source} is no model file", hint="files of models end in .safetensors or .gguf"
        )
    return file


def _no_model(files: list[RemoteFile], source: str) -> DataError:
    """What is wrong with a repository without a file that says what model it has."""
    pickled = [file for file in files if file.ending in _PICKLED]
    single = [file for file in files if file.ending in _WEIGHTS]
    if single:
        hint = f"name one of its files, such as {source.partition('@')[0]}/{single[0].path}"
        return DataError(f"{source} holds no pipeline, but files of models", hint=hint)
    if pickled:
        return DataError(
            f"{source} has only pickled files, such as {pickled[0].path}", hint=_WAY_OUT
        )
    return DataError(
        f"{source} holds no model that limner knows", hint="a pipeline has model_index.json"
    )


def _check_path(path: str, source: str) -> None:
    """A path leads into the folder that it is fetched to, whatever a hub says."""
    parts = PurePosixPath(path).parts
    if not parts or ".." in parts or path.startswith(("/", "\\")) or "\\" in path or "\0" in path:
        raise DataError(f"{source} has a file with the path {path!r}, which is not taken")


def _is_below(file: RemoteFile, path: str) -> bool:
    return file.path.startswith(f"{path}/")


def _is_ir(files: list[RemoteFile]) -> bool:
    return any(_is_weights_of_ir(file, files) for file in files)


def _is_weights_of_ir(file: RemoteFile, beside: list[RemoteFile]) -> bool:
    """Whether it is NAME.bin beside NAME.xml: plain numbers, not pickled."""
    stem = file.path.removesuffix(".bin")
    return file.ending == ".bin" and any(other.path == f"{stem}.xml" for other in beside)


def _has_variant(file: RemoteFile) -> bool:
    """Whether it is one such as model.fp16.safetensors or model.safetensors.index.fp16.json."""
    parts = PurePosixPath(file.path).name.split(".")
    return any(part.split("-")[0] in ("fp16", "bf16", "non_ema", "ema") for part in parts[1:-1])


def _is_licence(file: RemoteFile) -> bool:
    return PurePosixPath(file.path).name.upper().startswith(("LICENSE", "LICENCE", "NOTICE"))
