"""Following a pipeline at work: its steps, what its picture would be now, and stopping it.

diffusers calls back once a step, with the noisy latents, and its own interruption still decodes
the picture. Here the scheduler's `step` is wrapped, which every pipeline calls once a step, and
the blocks of the networks ask before each block whether to stop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from typing import Any

import torch
from torch import Tensor, nn

from limner.engines.latent.callbacks import Stop

# (finds the latents as they would be without noise, steps that are done)
OnStep = Callable[[Callable[[], Tensor], int], None]


@contextmanager
def stoppable(modules: list[nn.Module], stop: Stop) -> Iterator[None]:
    """Meanwhile, raise `Stopped` before a block of a network runs once `stop` is set."""

    def check(module: nn.Module, args: Any) -> None:
        stop.check()

    blocks = [block for module in modules for block in _blocks(module)]
    handles = [block.register_forward_pre_hook(check) for block in blocks]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    """The network itself, and all that stands in its lists of layers."""
    yield module
    for inner in module.modules():
        if isinstance(inner, nn.ModuleList):
            yield from inner


def watch(scheduler: Any, on_step: OnStep) -> None:
    """Call `on_step` after each step of `scheduler`, which is used for one drawing only."""
    step, n_done = scheduler.step, 0

    @wraps(step)  # pipelines look at its parameters
    def watched(
        model_output: Tensor,
        timestep: Any,
        sample: Tensor,
        *args: Any,
        return_dict: bool = True,
        **more: Any,
    ) -> Any:
        nonlocal n_done
        result = step(model_output, timestep, sample, *args, return_dict=True, **more)
        n_done += 1
        on_step(partial(_clean, scheduler, result, model_output, timestep, sample), n_done)
        return result if return_dict else result.to_tuple()

    scheduler.step = watched


def _clean(scheduler: Any, result: Any, output: Tensor, timestep: Any, sample: Tensor) -> Tensor:
    """The latents without noise as the model expects them at this step; noisy ones if not known.

    With x the sample, e noise and x0 clean latents: flow matching has x = (1 - s) x0 + s e and
    predicts e - x0 (Lipman and others 2023); others have x = a x0 + b e, a² + b² = 1, and predict
    e, x0, or v = a e - b x0 (Salimans and Ho 2022, appendix D).
    """
    for name in ("pred_original_sample", "denoised"):
        if isinstance(found := getattr(result, name, None), Tensor):
            return found
    x, output = sample.float(), output.float()
    t = torch.as_tensor(timestep, dtype=torch.float32).flatten()[0]
    if hasattr(scheduler, "alphas_cumprod"):
        steps = scheduler.alphas_cumprod
        alpha = steps[min(max(int(t.round()), 0), len(steps) - 1)].float()
        a, b = alpha.sqrt(), (1 - alpha).sqrt()
        kind = scheduler.config.get("prediction_type", "epsilon")
        if kind == "epsilon":
            return (x - b * output) / a
        return a * x - b * output if kind == "v_prediction" else output
    if "FlowMatch" in type(scheduler).__name__:
        return x - t / scheduler.config.num_train_timesteps * output
    clean: Tensor = result.prev_sample
    return clean
