"""Choose the faster training precision of this processor, by a trial of two seconds."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import torch
from torch import Tensor

from limner.training.loop import LoopConfig

_SHAPE = (4096, 256, 1408)  # of a product in a feed-forward layer of nano
_SECONDS = 1.8  # for both precisions together
# bfloat16 takes casts besides its products, so it must be clearly faster in these.
_CLEARLY = 1.3


def chosen(config: LoopConfig, before: str | None = None) -> tuple[LoopConfig, str]:
    """The config with a precision in place of "auto", and a line that says why.

    A resumed run keeps the precision it had `before`, so that it stays reproducible. On other
    devices than a CPU, "auto" stays.
    """
    if config.precision != "auto" or torch.device(config.device).type != "cpu":
        return config, f"training in {config.precision} precision"
    if before not in (None, "auto"):
        return replace(config, precision=before), f"training in {before}, as before"
    speed = gflops()
    is_bfloat16 = speed[torch.bfloat16] > _CLEARLY * speed[torch.float32]
    name = "bfloat16" if is_bfloat16 else "float32"
    return replace(config, precision=name), (
        f"training in {name}: products at {speed[torch.float32]:.0f} GFLOP/s in float32, "
        f"{speed[torch.bfloat16]:.0f} in bfloat16"
    )


@cache
def gflops() -> dict[torch.dtype, float]:
    """Billions of multiplications and additions a second in products; measured once a process.

    The precisions take turns and the best turn counts, so that other programs slow both alike.
    """
    products = {dtype: _product(dtype) for dtype in (torch.float32, torch.bfloat16)}
    shortest = dict.fromkeys(products, float("inf"))
    ends = time.monotonic() + _SECONDS
    while time.monotonic() < ends:
        for dtype, product in products.items():
            start = time.perf_counter()
            product()
            shortest[dtype] = min(shortest[dtype], time.perf_counter() - start)
    rows, inner, columns = _SHAPE
    return {dtype: 2e-9 * rows * inner * columns / s for dtype, s in shortest.items()}


def _product(dtype: torch.dtype) -> Callable[[], Tensor]:
    rows, inner, columns = _SHAPE
    a, b = torch.ones(rows, inner, dtype=dtype), torch.ones(inner, columns, dtype=dtype)
    a @ b  # the first one takes longer
    return lambda: a @ b
