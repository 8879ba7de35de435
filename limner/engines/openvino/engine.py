"""Draws with OpenVINO GenAI from a folder of OpenVINO IR, on the CPU.

One picture at a time: its noise is our own, so the seed decides. OpenVINO calls back after each
step, in a thread of its own, which it does not wait for: there progress is told, a preview decoded,
and a cancelled picture stopped, and steps that are drawn faster are not told. An exception in that
callback would end the process, so none leaves it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import openvino_genai

from limner.engines import cores
from limner.engines.base import (
    NEVER,
    CancelToken,
    Capabilities,
    Engine,
    Event,
    ImageTask,
    Notice,
)
from limner.engines.latent import options as latent_options
from limner.engines.latent.callbacks import Calls, Stop, draw_each
from limner.engines.latent.reporting import Emit, Reporter
from limner.engines.latent.source_picture import SourcePicture, finished
from limner.engines.openvino import folder as ir_folder
from limner.engines.openvino.folder import IrFolder
from limner.engines.openvino.noise import Noise
from limner.errors import DataError, EngineError, SettingsError
from limner.options import OptionSpec
from limner.request import SizeRule
from limner.settings import Settings

log = logging.getLogger("limner.engines")

_STRENGTH = 0.75  # of an edit, unless the request says
_LEAST_MAX_PX = 1024


class OpenVinoEngine(Engine):
    """Draws with the model in a folder; see `engines.base.Engine`."""

    name = "openvino"
    max_concurrency = 1

    def __init__(self, folder: IrFolder, threads: int) -> None:
        """Loads and compiles the model. Raises DataError if OpenVINO cannot."""
        self.model = folder.path.name
        self.capabilities = _capabilities(folder)
        self._folder, self._threads = folder, threads
        self._pipelines: dict[str, Any] = _loaded(folder, threads)  # empty after a failure
        self._calls: Calls[Event] = Calls("openvino")

    def draw(
        self, tasks: Sequence[ImageTask], cancel: CancelToken = NEVER
    ) -> Iterator[tuple[ImageTask, Event]]:
        """Draw pictures one after the other; a cancelled one ends after its step."""
        yield from draw_each(self._calls, self._draw, tasks, cancel)

    def close(self) -> None:
        """Free the memory of the model."""
        self._calls.close()
        self._pipelines = {}

    def _draw(self, task: ImageTask, emit: Emit, stop: Stop) -> None:
        request, source = task.request, SourcePicture.of(task.request)
        teller = Reporter(task, self.model, emit, partial(finished, source))
        kind = "text" if source is None else "inpaint" if source.has_mask else "image"
        self._pipelines = self._pipelines or _loaded(self._folder, self._threads)
        pipeline = self._pipelines[kind]
        asked, pictures = self._asked(task, source), _pictures(source)
        n_steps = max(1, int(asked["num_inference_steps"] * asked.get("strength", 1)))
        if asked["guidance_scale"] <= 1 and asked.pop("negative_prompt", None):
            emit(Notice("A negative prompt has no effect without guidance, which is above 1"))
        failed: list[Exception] = []

        def on_step(step: int, total: int, latents: Any) -> bool:
            done = min(step + 1, n_steps)
            try:
                teller.step(done, n_steps)
                teller.preview(done, n_steps, lambda: np.array(pipeline.decode(latents).data[0]))
                stop.check()
            except Exception as error:
                failed.append(error)
            return bool(failed)

        try:
            drawn = pipeline.generate(request.prompt, *pictures, callback=on_step, **asked)
        except RuntimeError as error:
            if not failed:
                self._pipelines = {}  # they would draw no other picture
                raise _failure(error) from error
            raise failed[0] from error
        if failed:
            raise failed[0]
        teller.picture(n_steps, np.array(drawn.data[0]))

    def _asked(self, task: ImageTask, source: SourcePicture | None) -> dict[str, Any]:
        """The arguments of a drawing."""
        request, options = task.request, task.request.options
        steps = int(options.get("steps", self._folder.steps[request.quality]))
        asked: dict[str, Any] = {
            "width": request.size.width,
            "height": request.size.height,
            "num_inference_steps": steps,
            "guidance_scale": float(options.get("guidance", self._folder.guidance)),
            "generator": Noise(task.seed, task.index),
        }
        if negative := options.get("negative_prompt"):
            asked["negative_prompt"] = negative
        if source is not None:
            asked["strength"] = float(options.get("strength", _STRENGTH))
            while int(steps * asked["strength"]) < 1:  # an edit draws that share of the steps
                steps += 1
            asked["num_inference_steps"] = steps
        return asked


def build(settings: Settings) -> OpenVinoEngine:
    """The engine that the settings describe.

    Raises SettingsError if they name no folder, DataError for what cannot be loaded.
    """
    if not settings.openvino_model:
        raise SettingsError(
            "Engine openvino needs a folder of OpenVINO IR",
            hint="set LIMNER_OPENVINO_MODEL, or `limner models add NAME FOLDER`",
        )
    folder = ir_folder.read(Path(settings.openvino_model))
    return OpenVinoEngine(folder, settings.threads or cores.usable())


def _loaded(folder: IrFolder, threads: int) -> dict[str, Any]:
    """The pipelines by what they begin with; they share one model."""
    properties = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    path = str(folder.path)
    try:
        if not folder.can_edit:
            return {"text": openvino_genai.Text2ImagePipeline(path, "CPU", **properties)}
        inpaint = openvino_genai.InpaintingPipeline(path, "CPU", **properties)
        image = openvino_genai.Image2ImagePipeline(inpaint)
        text = openvino_genai.Text2ImagePipeline(image)
        return {"text": text, "image": image, "inpaint": inpaint}
    except (RuntimeError, ValueError) as error:
        if _is_memory(error):
            raise _failure(error) from error
        raise DataError(
            f"OpenVINO cannot load {folder.path}: {_words(error)}",
            hint="make the folder again; docs/how-to/openvino.md says which models are tried",
        ) from error


def _pictures(source: SourcePicture | None) -> list[Any]:
    """What an edit begins with, (1, H, W, 3) each: the picture and, if it has one, the mask."""
    if source is None:
        return []
    found = [source.rgb()]
    if source.has_mask:
        found.append(np.repeat(source.mask()[..., None], 3, axis=2))
    return [openvino.Tensor(np.ascontiguousarray(pixels[None])) for pixels in found]


def _failure(error: Exception) -> EngineError:
    if _is_memory(error):
        return EngineError(
            "Engine openvino ran out of memory", hint="ask for fewer or smaller pictures"
        )
    return EngineError(
        f"Engine openvino failed: {_words(error)}", hint="try again, or take another model"
    )


def _is_memory(error: Exception) -> bool:
    """Whether memory is what was missing."""
    return any(word in _words(error).lower() for word in ("alloc", "memory"))


def _words(error: Exception) -> str:
    """What OpenVINO says, without the places in its own source."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("Exception from", "Check '"))]
    return (told or lines or [type(error).__name__])[-1][:300]


def _capabilities(folder: IrFolder) -> Capabilities:
    options = [
        latent_options.steps("{low}, {medium} or {high} by quality".format(**folder.steps)),
        OptionSpec(
            "guidance",
            "number",
            "How closely the prompt is followed; 1 and less: not at all, twice as fast.",
            0,
            30,
            default=folder.guidance,
        ),
        latent_options.NEGATIVE_PROMPT,
    ]
    if folder.can_edit:
        options.append(latent_options.strength(_STRENGTH))
    largest = max(_LEAST_MAX_PX, 2 * folder.usual_side)
    return Capabilities(
        sizes=SizeRule(max_side=largest, keeps_edited=False),
        edit=folder.can_edit,
        mask=folder.can_edit,
        previews=True,
        options=tuple(options),
    )
