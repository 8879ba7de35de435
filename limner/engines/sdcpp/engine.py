"""Draws with stable-diffusion.cpp. Runs in a process of its own: see `EngineInfo.apart`.

The library cannot be stopped, and a damaged model can crash it; what ends it for certain is the
end of its process, which `engines.apart` sees to.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cyllama.sd as sd
import numpy as np

from limner.engines import cores
from limner.engines.base import (
    NEVER,
    CancelToken,
    Capabilities,
    Engine,
    Event,
    ImageTask,
    Picture,
    Preview,
    Progress,
)
from limner.engines.callbacks import Calls, Stop
from limner.engines.sdcpp import files
from limner.engines.source_picture import SourcePicture, opaque
from limner.errors import DataError, EngineError, SettingsError
from limner.imaging import codec
from limner.options import OptionSpec
from limner.request import SizeRule
from limner.settings import Settings

log = logging.getLogger("limner.engines")

MAX_STEPS = 150
_STEPS = {"low": 10, "medium": 20, "high": 40}
_GUIDANCE, _STRENGTH = 7.0, 0.75
_STEP_PX, _MAX_PX = 64, 2048  # the library rounds sides to multiples of 64
_STAGE = "drawing"
_WARNING, _ERROR = 2, 3  # levels of its log

Emit = Callable[[Event], None]


class SdcppEngine(Engine):
    """Draws with the model that `context` has loaded; see `engines.base.Engine`."""

    name = "sdcpp"
    max_concurrency = 1

    def __init__(self, context: Any, model: str, said: list[str]) -> None:
        """said: what the library reports, the last one last."""
        self.model = model
        self.capabilities = _capabilities()
        self._contexts, self._said = [context], said  # without a context once it is closed
        self._calls: Calls[Event] = Calls("sdcpp")

    def draw(
        self, tasks: Sequence[ImageTask], cancel: CancelToken = NEVER
    ) -> Iterator[tuple[ImageTask, Event]]:
        """Draw pictures one after the other; one that is cancelled is drawn to its end."""
        for task in tasks:
            if cancel.is_cancelled(task):
                continue
            call = partial(self._draw, task)
            for event in self._calls.run(call, partial(cancel.is_cancelled, task)):
                yield task, event

    def close(self) -> None:
        """Free the memory of the model."""
        self._calls.close()
        while self._contexts:
            self._contexts.pop().close()

    def _draw(self, task: ImageTask, emit: Emit, stop: Stop) -> None:
        [context] = self._contexts
        request, source = task.request, SourcePicture.of(task.request)
        n_steps = 0

        def on_step(done: int, total: int, seconds: float) -> None:
            nonlocal n_steps
            n_steps = n_steps or total
            if done and total == n_steps:  # else it is about something else than steps
                emit(Progress(done, total + 1, _STAGE))

        def on_preview(done: int, frames: Sequence[Any], is_noisy: bool) -> None:
            total = max(n_steps, done)
            if frames and done in _shown(request.previews, total):
                # Its memory is the library's, and used again for the next one.
                small = opaque(np.array(frames[0].to_numpy()[..., :3]))
                pixels = codec.resize(small, request.size.width, request.size.height)
                pixels = source.finished(pixels) if source else pixels
                emit(Preview(task.index, pixels, done, total + 1))

        sd.set_progress_callback(on_step)
        if request.previews:
            sd.set_preview_callback(
                on_preview, mode=sd.PreviewMode.PROJ, interval=1, denoised=True, noisy=False
            )
        try:
            [drawn] = context.generate(request.prompt, **_asked(task, source))
        except (RuntimeError, ValueError) as error:
            words = self._said[-1] if self._said else str(error)
            raise EngineError(
                f"stable-diffusion.cpp failed: {words}",
                hint="ask for a smaller picture, or take another model",
            ) from error
        finally:
            sd.set_progress_callback(_ignored)
            sd.set_preview_callback(None)
        pixels = opaque(np.array(drawn.to_numpy()[..., :3]))
        pixels = source.finished(pixels) if source else pixels
        emit(Progress(n_steps + 1, n_steps + 1, _STAGE))
        emit(Picture(pixels, request.prompt, task.seed, task.index, self.model))


def build(settings: Settings) -> SdcppEngine:
    """The engine that the settings describe.

    Raises SettingsError if they name no file, DataError for one that cannot be loaded.
    """
    if not settings.sdcpp_model:
        raise SettingsError(
            "Engine sdcpp needs a file with a model",
            hint="set LIMNER_SDCPP_MODEL, or `limner models add NAME FILE`",
        )
    model, parts = files.check(Path(settings.sdcpp_model)), files.parts(settings.sdcpp_parts)
    said: list[str] = []

    def listen(level: int, text: str) -> None:
        if level >= _ERROR:
            said[:] = [*said[-9:], text.strip()]
        log.log(logging.WARNING if level >= _WARNING else logging.DEBUG, "%s", text.strip())

    sd.set_log_callback(listen)
    sd.set_progress_callback(_ignored)  # else it draws a bar
    # With text encoders beside it, the file is the diffusion model alone.
    name = "diffusion_model_path" if parts else "model_path"
    paths = {name: str(model)} | {f"{part}_path": str(path) for part, path in parts.items()}
    params = sd.SDContextParams(n_threads=settings.threads or cores.usable())
    for field, path in paths.items():
        setattr(params, field, path)
    params.vae_decode_only = False  # edits read pictures
    params.free_params_immediately = False  # else the second picture ends the process
    params.enable_mmap = True
    try:
        context = sd.SDContext(params)
    except (RuntimeError, ValueError, OSError) as error:
        raise DataError(
            f"stable-diffusion.cpp cannot load {model}: {said[-1] if said else error}",
            hint="name files that the model needs beside it in LIMNER_SDCPP_PARTS, or take another",
        ) from error
    return SdcppEngine(context, model.stem, said)


def _asked(task: ImageTask, source: SourcePicture | None) -> dict[str, Any]:
    """The arguments of a drawing."""
    request, options = task.request, task.request.options
    # spawn_key keeps seed and index apart; the library takes one number.
    key = np.random.SeedSequence(task.seed, spawn_key=(task.index,))
    asked: dict[str, Any] = {
        "negative_prompt": str(options.get("negative_prompt", "")),
        "width": request.size.width,
        "height": request.size.height,
        "seed": int(key.generate_state(1, np.uint32)[0]),
        "sample_steps": int(options.get("steps", _STEPS[request.quality])),
        "cfg_scale": float(options.get("guidance", _GUIDANCE)),
    }
    if "scheduler" in options:
        asked["sample_method"] = sd.SampleMethod[str(options["scheduler"]).upper()]
    if source is not None:
        asked["init_image"] = sd.SDImage.from_numpy(np.ascontiguousarray(source.rgb()))
        asked["strength"] = float(options.get("strength", _STRENGTH))
        if source.has_mask:
            asked["mask_image"] = sd.SDImage.from_numpy(source.mask()[..., None])
    return asked


def _shown(n_asked: int, n_steps: int) -> set[int]:
    """The steps after which a preview is shown, evenly spread."""
    return {max(1, round(n_steps * i / (n_asked + 1))) for i in range(1, n_asked + 1)}


def _ignored(*_: object) -> None:
    """A callback that does nothing."""


def _capabilities() -> Capabilities:
    methods = tuple(method.name.lower() for method in sd.SampleMethod if method.name != "COUNT")
    return Capabilities(
        sizes=SizeRule(max_side=_MAX_PX, step=_STEP_PX, keeps_edited=False),
        edit=True,
        mask=True,
        previews=True,
        options=(
            OptionSpec(
                "steps",
                "integer",
                "Steps of drawing; more take longer. Given, quality has no effect.",
                1,
                MAX_STEPS,
                unset="10, 20 or 40 by quality",
            ),
            OptionSpec(
                "guidance",
                "number",
                "How closely the prompt is followed.",
                1,
                30,
                default=_GUIDANCE,
            ),
            OptionSpec("negative_prompt", "text", "What the picture is not to show."),
            OptionSpec(
                "strength",
                "number",
                "How much of a picture to edit is drawn anew, from a little to all.",
                0.01,
                1,
                default=_STRENGTH,
            ),
            OptionSpec(
                "scheduler",
                "choice",
                "Method of the steps.",
                choices=methods,
                unset="the model's own",
            ),
        ),
    )
