"""Draws with stable-diffusion.cpp. Runs in a process of its own: see `EngineInfo.apart`.

The library cannot be stopped, and a damaged model can crash it; what ends it for certain is the
end of its process, which `engines.apart` sees to.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cyllama.sd as sd
import numpy as np

from limner.arrays import Pixels
from limner.engines import cores
from limner.engines.base import (
    NEVER,
    CancelToken,
    Capabilities,
    Engine,
    Event,
    ImageTask,
)
from limner.engines.latent import options as latent_options
from limner.engines.latent.callbacks import Calls, Stop, draw_each
from limner.engines.latent.reporting import Emit, Reporter
from limner.engines.latent.source_picture import SourcePicture, finished, opaque
from limner.engines.sdcpp import files
from limner.errors import DataError, EngineError, SettingsError
from limner.imaging import codec
from limner.options import OptionSpec
from limner.request import Size, SizeRule
from limner.settings import Settings

log = logging.getLogger("limner.engines")

_STEPS = {"low": 10, "medium": 20, "high": 40}
_GUIDANCE, _STRENGTH = 7.0, 0.75
_STEP_PX, _MAX_PX = 64, 2048  # the library rounds sides to multiples of 64
_WARNING, _ERROR = 2, 3  # levels of its log
_METHODS = {one.name.lower(): one for one in sd.SampleMethod if one.name != "COUNT"}


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
        yield from draw_each(self._calls, self._draw, tasks, cancel)

    def close(self) -> None:
        """Free the memory of the model."""
        self._calls.close()
        while self._contexts:
            self._contexts.pop().close()

    def _draw(self, task: ImageTask, emit: Emit, stop: Stop) -> None:
        [context] = self._contexts
        request, source = task.request, SourcePicture.of(task.request)
        teller = Reporter(task, self.model, emit, partial(finished, source))
        n_steps = 0

        def on_step(done: int, total: int, seconds: float) -> None:
            nonlocal n_steps
            n_steps = n_steps or total
            if done and total == n_steps:  # else it is about something else than steps
                teller.step(done, total)

        def on_preview(done: int, frames: Sequence[Any], is_noisy: bool) -> None:
            if frames:
                pixels = partial(_enlarged, frames[0], request.size)
                teller.preview(done, max(n_steps, done), pixels)

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
        teller.picture(n_steps, np.array(drawn.to_numpy()))


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
    context = opened(model, parts, settings.threads or cores.usable(), said)
    return SdcppEngine(context, model.stem, said)


def opened(model: Path, parts: Mapping[str, Path], threads: int, said: Sequence[str]) -> Any:
    """The model in the library's memory. Raises DataError, with the last words that were said."""
    params = sd.SDContextParams(n_threads=threads)
    for field, path in files.paths(model, parts).items():
        setattr(params, field, path)
    params.vae_decode_only = False  # edits read pictures
    params.free_params_immediately = False  # else the second picture ends the process
    params.enable_mmap = True
    try:
        return sd.SDContext(params)
    except (RuntimeError, ValueError, OSError) as error:
        raise DataError(
            f"stable-diffusion.cpp cannot load {model}: {said[-1] if said else error}",
            hint="name files that the model needs beside it in LIMNER_SDCPP_PARTS, or take another",
        ) from error


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
        asked["sample_method"] = _METHODS[str(options["scheduler"])]
    if source is not None:
        asked["init_image"] = sd.SDImage.from_numpy(np.ascontiguousarray(source.rgb()))
        asked["strength"] = float(options.get("strength", _STRENGTH))
        if source.has_mask:
            asked["mask_image"] = sd.SDImage.from_numpy(source.mask()[..., None])
    return asked


def _enlarged(frame: Any, size: Size) -> Pixels:
    """A small picture of the library, whose memory it uses again for the next one."""
    return codec.resize(opaque(np.array(frame.to_numpy()[..., :3])), size.width, size.height)


def _ignored(*_: object) -> None:
    """A callback that does nothing."""


def _capabilities() -> Capabilities:
    return Capabilities(
        sizes=SizeRule(max_side=_MAX_PX, step=_STEP_PX, keeps_edited=False),
        edit=True,
        mask=True,
        previews=True,
        options=(
            latent_options.steps("{low}, {medium} or {high} by quality".format(**_STEPS)),
            OptionSpec(
                "guidance",
                "number",
                "How closely the prompt is followed.",
                1,
                30,
                default=_GUIDANCE,
            ),
            latent_options.NEGATIVE_PROMPT,
            latent_options.strength(_STRENGTH),
            OptionSpec(
                "scheduler",
                "choice",
                "Method of the steps.",
                choices=tuple(_METHODS),
                unset="the model's own",
            ),
        ),
    )
