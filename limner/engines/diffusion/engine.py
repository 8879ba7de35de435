"""The engine `diffusion`: draws with a diffusers pipeline, one picture at a time.

Pictures are not drawn in batches: a picture of a batch differs from the same one drawn alone in
the last bits of its numbers, and so in its bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from limner.engines import cores
from limner.engines.base import NEVER, CancelToken, Engine, Event, ImageTask
from limner.engines.diffusion import loading, lora
from limner.engines.diffusion.abilities import capabilities, side_step
from limner.engines.diffusion.drawing import Drawer, free_memory
from limner.engines.diffusion.loading import Pipelines
from limner.engines.diffusion.prompts import count_tokens
from limner.engines.latent.callbacks import Calls, draw_each
from limner.errors import SettingsError
from limner.request import Size
from limner.settings import Settings


class DiffusionEngine(Engine):
    """Draws with `pipelines`; see `engines.base.Engine`."""

    name = "diffusion"

    def __init__(
        self,
        pipelines: Pipelines,
        loras: dict[str, Path] | None = None,
        tiny: Any | None = None,
        threads: int = 0,
        steps: int = 0,
    ) -> None:
        """loras: files by name. tiny: a decoder for previews. threads: cores; 0 means all.

        steps: of a request that asks for none; 0 means as many as the pipeline has by default.
        """
        self.model = pipelines.folder.path.name
        self.n_bytes = pipelines.n_bytes
        self.capabilities = capabilities(pipelines, loras or {}, steps)
        self._drawers = [Drawer(pipelines, loras or {}, tiny, steps)]  # empty once it is closed
        set_threads = partial(torch.set_num_threads, threads or cores.usable())
        self._calls: Calls[Event] = Calls("diffusion", set_threads)

    def draw(
        self, tasks: Sequence[ImageTask], cancel: CancelToken = NEVER
    ) -> Iterator[tuple[ImageTask, Event]]:
        """Draw pictures one after the other; a cancelled one stops within a step."""
        [drawer] = self._drawers
        yield from draw_each(self._calls, partial(drawer.draw, self.model), tasks, cancel)

    def count_cells(self, size: Size) -> int:
        """Patches of latents that the networks draw."""
        step = side_step(self._drawers[0].pipelines.text)
        return -(-size.width // step) * -(-size.height // step)

    def count_tokens(self, text: str) -> int:
        """Tokens of `text`, by the tokenizer that reads most of it."""
        return count_tokens(self._drawers[0].pipelines, text)

    def close(self) -> None:
        """Free the memory of the networks."""
        self._calls.close()
        self._drawers.clear()
        free_memory()


def build(settings: Settings) -> DiffusionEngine:
    """The engine that the settings describe.

    Raises SettingsError if they name no folder, DataError for what cannot be loaded.
    """
    if not settings.diffusion_model:
        raise SettingsError(
            "Engine diffusion needs the folder of a pipeline",
            hint="set LIMNER_DIFFUSION_MODEL, or `limner models add NAME FOLDER`",
        )
    loras = lora.find(Path(settings.diffusion_loras)) if settings.diffusion_loras else {}
    pipelines = loading.load(settings)
    tiny = None
    if settings.diffusion_previews:
        tiny = loading.load_tiny(Path(settings.diffusion_previews), pipelines)
    return DiffusionEngine(pipelines, loras, tiny, settings.threads)
