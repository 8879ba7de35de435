"""Several processes that train one model: which parts of a step each one takes, and their sum."""

from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

Value = TypeVar("Value")


class Workers:
    """One process alone; `Group` is one of several."""

    rank = 0
    n = 1
    is_guarded = False  # whether somebody else keeps other trainings away from the run's folder

    @property
    def is_first(self) -> bool:
        """Whether this process writes checkpoints, logs and sheets."""
        return self.rank == 0

    def share(self, n_parts: int) -> range:
        """The parts of a step that this process takes."""
        return range(self.rank, n_parts, self.n)

    def agreed(self, value: Value) -> Value:
        """The `value` of the first process; all wait for it."""
        return value

    def gathered(self, value: Value) -> list[Value]:
        """The values of all processes, by rank; all wait for the last one."""
        return [value]

    def add_gradients(self, model: nn.Module) -> None:
        """Replace each gradient by its sum over all processes."""


class Group(Workers):
    """A process of the default group of torch.distributed, which is set up already."""

    is_guarded = True

    def __init__(self) -> None:
        from torch import distributed

        self._distributed = distributed
        self.rank, self.n = distributed.get_rank(), distributed.get_world_size()

    def agreed(self, value: Value) -> Value:
        """See `Workers`."""
        told: list[Any] = [value]
        self._distributed.broadcast_object_list(told)
        agreed: Value = told[0]
        return agreed

    def gathered(self, value: Value) -> list[Value]:
        """See `Workers`."""
        told: list[Any] = [None] * self.n
        self._distributed.all_gather_object(told, value)
        return told

    def add_gradients(self, model: nn.Module) -> None:
        """See `Workers`. A gradient that no process has stays away, so its optimizer skips it."""
        trained = [p for p in model.parameters() if p.requires_grad]
        has_any = torch.tensor(
            [float(p.grad is not None) for p in trained], device=trained[0].device
        )
        self._distributed.all_reduce(has_any)
        moved = [p for p, n_have in zip(trained, has_any.tolist(), strict=True) if n_have]
        flat = torch.cat([_gradient(p).flatten() for p in moved])
        self._distributed.all_reduce(flat)
        for p, part in zip(moved, flat.split([p.numel() for p in moved]), strict=True):
            p.grad = part.view_as(p)


def merged(figures: Sequence[dict[str, float]]) -> dict[str, float]:
    """Figures of a step from those of its parts: means, but the sum of pictures."""
    names = dict.fromkeys(name for part in figures for name in part)
    found = {name: [part[name] for part in figures if name in part] for name in names}
    return {
        name: sum(values) if name == "pictures" else sum(values) / len(values)
        for name, values in found.items()
    }


def _gradient(p: nn.Parameter) -> Tensor:
    return torch.zeros_like(p) if p.grad is None else p.grad
