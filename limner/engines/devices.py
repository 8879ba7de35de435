"""Where PyTorch runs, and what is said when its memory ends. PyTorch is imported when needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from limner.errors import EngineError

if TYPE_CHECKING:
    import torch

_OUT_OF_MEMORY = ("defaultcpuallocator", "out of memory", "can't allocate memory")


def torch_device(name: str) -> torch.device:
    """Device "cpu" or "cuda", or for "auto" CUDA where there is one.

    Raises EngineError if CUDA is asked for and is not there, or for "mps", which only the engine
    `diffusion` draws on.
    """
    import torch

    if name == "mps":
        raise EngineError(
            "The device mps was asked for, and only the engine diffusion draws on it",
            hint="set LIMNER_DEVICE=auto",
        )
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise EngineError(
            f"Device cuda was asked for, and PyTorch {torch.__version__} finds none",
            hint="install a driver and a build of PyTorch with CUDA, or set LIMNER_DEVICE=cpu",
        )
    return torch.device(name)


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory is what was missing, whichever way PyTorch says it."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    # On a CPU and on MPS it is a plain RuntimeError.
    said = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in said for words in _OUT_OF_MEMORY)


@contextmanager
def memory_errors(engine: str) -> Iterator[None]:
    """Raise an EngineError for memory that is not there."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise EngineError(
            f"Engine {engine} ran out of memory",
            hint="ask for smaller pictures, take a smaller model, or give back others by "
            "`limner models stop NAME`",
        ) from error
