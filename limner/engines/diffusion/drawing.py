"""One picture by a pipeline: what is said of it, its steps and previews, and what can fail."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from limner.arrays import Pixels
from limner.engines.base import ImageTask, Notice
from limner.engines.devices import is_out_of_memory
from limner.engines.diffusion import schedulers
from limner.engines.diffusion.abilities import has_previews
from limner.engines.diffusion.calling import call_for
from limner.engines.diffusion.loading import Pipelines
from limner.engines.diffusion.lora import Loras
from limner.engines.diffusion.previews import Previewer
from limner.engines.diffusion.prompts import count_tokens, most_tokens
from limner.engines.diffusion.watching import stoppable, watch
from limner.engines.latent.callbacks import Stop, Stopped
from limner.engines.latent.reporting import Emit, Reporter
from limner.errors import EngineError, LimnerError, Refused
from limner.request import ImageRequest


class Drawer:
    """Draws with `pipelines`. For one thread."""

    def __init__(
        self, pipelines: Pipelines, loras: dict[str, Path], tiny: Any | None, steps: int
    ) -> None:
        """See `DiffusionEngine`."""
        self.pipelines = pipelines
        self._steps = steps
        self._scheduler = pipelines.text.scheduler
        self._loras = Loras(pipelines.text, loras)
        self._previewer = Previewer(pipelines.text, tiny)

    def draw(self, model: str, task: ImageTask, emit: Emit, stop: Stop) -> None:
        """Draw one picture; raises MemoryError, a LimnerError, or Stopped."""
        try:
            self._draw(model, task, emit, stop)
            return
        except (LimnerError, Stopped):
            raise
        except Exception as error:
            if not is_out_of_memory(error):
                name = self.pipelines.folder.class_name
                raise EngineError(f"{name} failed: {type(error).__name__}: {error}") from error
        finally:
            self.pipelines.text.maybe_free_model_hooks()  # else they hold memory after a failure
        # Outside of the handler: the error held what was being computed.
        free_memory()
        raise MemoryError

    def _draw(self, model: str, task: ImageTask, emit: Emit, stop: Stop) -> None:
        request = task.request
        options: dict[str, Any] = dict(request.options)
        for remark in self._remarks(request):
            emit(Notice(remark))
        call = call_for(task, self.pipelines, self._steps)
        teller = Reporter(task, model, emit, call.finished)
        pipeline = self.pipelines.by_task[call.task]
        pipeline.scheduler = schedulers.fresh(self._scheduler, options.get("scheduler"))
        self._loras.use(options.get("lora"), float(options.get("lora_weight", 1.0)))
        previewer = self._previewer
        shows = request.previews and has_previews(self.pipelines)
        n_steps = 0

        def on_step(clean: Callable[[], Tensor], n_done: int) -> None:
            nonlocal n_steps
            stop.check()
            n_steps = max(n_steps or _n_steps(pipeline), n_done)
            teller.step(n_done, n_steps)
            if shows:
                teller.preview(n_done, n_steps, lambda: previewer.pixels(clean(), call.drawn))

        watch(pipeline.scheduler, on_step)
        with torch.no_grad(), stoppable(self.pipelines.networks, stop):
            if shows:
                previewer.prepare()
            pixels = _pixels(pipeline(**call.arguments))
        teller.picture(n_steps, pixels)

    def _remarks(self, request: ImageRequest) -> Iterator[str]:
        """What is to be said of a request before it is drawn."""
        most = most_tokens(self.pipelines)
        n_tokens = count_tokens(self.pipelines, request.prompt)
        if most and n_tokens > most:
            yield (
                f"The prompt has {n_tokens} tokens, and this model reads {most}: the rest had no "
                "effect"
            )


def free_memory() -> None:
    """Give memory that nothing refers to any more back to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()


def _n_steps(pipeline: Any) -> int:
    """Steps of the drawing that has just begun."""
    return int(getattr(pipeline, "num_timesteps", None) or len(pipeline.scheduler.timesteps))


def _pixels(result: Any) -> Pixels:
    """The picture that a pipeline returned, as it was drawn."""
    if any(getattr(result, "nsfw_content_detected", None) or ()):
        raise Refused(
            "The safety checker of the model refused the picture",
            status=400,
            code="moderation_blocked",
            hint="take another prompt or seed",
        )
    image = np.asarray(result.images[0], np.float32)
    if not np.isfinite(image).all():
        raise EngineError(
            "The model computed values that are no numbers",
            hint="set LIMNER_DIFFUSION_DTYPE=float32 or bfloat16",
        )
    pixels: Pixels = np.rint(image * 255).astype(np.uint8)
    return pixels
