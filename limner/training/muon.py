"""Muon in the precision of its weights.

torch.optim.Muon multiplies in bfloat16, which on a processor without AMX has about half the speed
of float32; that took a sixth of a step (docs/experiments.md). Update and state are the same (Muon,
kellerjordan.github.io/posts/muon; Muon is Scalable, arXiv 2502.16982, section 2.2), so a run can
change between the two.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_STEPS = 5
_EPS = 1e-7


class Muon(torch.optim.Muon):
    """As torch.optim.Muon with adjust_lr_fn="match_rms_adamw" and Nesterov momentum."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """One update of every weight that has a gradient."""
        loss = None if closure is None else closure()
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is not None:
                    self._update(param, param.grad, group)
        return loss

    def _update(self, param: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        state = self.state[param]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(grad)
        momentum: Tensor = state["momentum_buffer"]
        momentum.lerp_(grad, 1 - group["momentum"])
        update = orthogonal(grad.lerp(momentum, group["momentum"]))
        param.mul_(1 - group["lr"] * group["weight_decay"])
        param.add_(update, alpha=-group["lr"] * 0.2 * max(param.shape) ** 0.5)


def orthogonal(x: Tensor) -> Tensor:
    """A matrix with about the singular vectors of x and singular values near 1.

    Newton-Schulz iteration x <- a x + b (x x^T) x + c (x x^T)^2 x.
    """
    a, b, c = _COEFFICIENTS
    is_tall = x.shape[0] > x.shape[1]
    x = x.T.contiguous() if is_tall else x
    x = x / x.norm().clamp(min=_EPS)
    for _ in range(_STEPS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if is_tall else x
