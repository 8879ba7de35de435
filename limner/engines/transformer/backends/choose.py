"""Which backend draws: the one asked for, or the best that is there."""

from importlib.util import find_spec
from pathlib import Path

from limner.engines.transformer.backend import Backend
from limner.errors import EngineError, needed

NAMES = ("onnx", "torch")
_INSTALL = {"onnx": "onnxruntime", "torch": "limner[train]"}


def load(folder: Path, name: str = "auto", device: str = "auto", threads: int = 0) -> Backend:
    """The weights in `folder`, in backend `name`: "onnx", "torch" or "auto".

    auto is ONNX Runtime where it is installed, since it starts fastest and draws the same bytes
    everywhere; for the device "cuda" it is PyTorch. device: "cpu", "cuda" or "auto". Raises
    MissingExtra if the backend's package is not installed, EngineError if it has no such device,
    WeightsError for the folder.
    """
    if name == "auto":
        name = "torch" if device == "cuda" or find_spec("onnxruntime") is None else "onnx"
    if name not in NAMES:
        raise EngineError(f"Backend {name!r} is not known", hint=f"backends are {', '.join(NAMES)}")
    if device == "mps":
        raise EngineError(
            "The transformer draws on a CPU or an NVIDIA GPU; the device mps was asked for",
            hint="set LIMNER_DEVICE=auto",
        )
    if name == "onnx" and device == "cuda":
        raise EngineError(
            "Backend onnx draws on the CPU; the device cuda was asked for",
            hint="set LIMNER_BACKEND=torch, or leave it at auto",
        )
    with needed(f"Backend {name}", _INSTALL[name]):
        return _build(folder, name, device, threads)


def _build(folder: Path, name: str, device: str, threads: int) -> Backend:
    if name == "torch":
        from limner.engines.transformer.backends.pytorch import TorchBackend

        return TorchBackend(folder, threads, device)
    from limner.engines.transformer.backends.onnx_runtime import OnnxBackend

    return OnnxBackend(folder, threads)
