"""From a folder to pipelines that share their networks: text to image, and its edits."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import diffusers
import torch
import transformers
from torch import nn

from limner.engines.diffusion.folder import PipelineFolder, read
from limner.errors import DataError, LimnerError, SettingsError
from limner.settings import Settings

Task = Literal["text", "image", "inpaint"]

_NAMES: dict[Task, str] = {
    "text": "Pipeline",
    "image": "Img2ImgPipeline",
    "inpaint": "InpaintPipeline",
}
_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
_OTHER_MEDIA = ("num_frames", "audio_end_in_s", "audio_length_in_s")


@dataclass
class Pipelines:
    """The pipelines of one model."""

    text: Any  # a diffusers.DiffusionPipeline
    folder: PipelineFolder
    device: str
    by_task: dict[Task, Any] = field(default_factory=dict)

    @property
    def networks(self) -> list[nn.Module]:
        """The networks that they share."""
        return [part for part in self.text.components.values() if isinstance(part, nn.Module)]

    @cached_property
    def n_bytes(self) -> int:
        """What the networks take in memory."""
        tensors = (t for net in self.networks for t in (*net.parameters(), *net.buffers()))
        return sum(tensor.nbytes for tensor in tensors)

    def parameters(self, task: Task) -> dict[str, inspect.Parameter]:
        """What a call of a pipeline takes."""
        return dict(inspect.signature(self.by_task[task].__call__).parameters)


def load(settings: Settings) -> Pipelines:
    """Load the pipelines of the folder that `settings` names.

    Nothing is fetched and no pickled file is read. Raises SettingsError for settings that do not go
    together, DataError for what cannot be loaded.
    """
    _be_quiet()
    path = Path(settings.diffusion_model)
    gguf = settings.diffusion_transformer
    folder = read(path, without=("transformer",) if gguf else ())
    device = _device(settings)
    dtype = _dtype(settings, device)
    more: dict[str, Any] = {}
    try:
        if gguf:
            more["transformer"] = _from_gguf(folder, Path(gguf), dtype)
        text = _class(folder, "text").from_pretrained(
            path,
            dtype=dtype,
            local_files_only=True,
            use_safetensors=True,
            variant=folder.variant,
            **more,
        )
    except (LimnerError, MemoryError):
        raise
    except Exception as error:  # of many kinds, by what is wrong in the folder
        raise DataError(
            f"The pipeline in {path} cannot be loaded: {_first_line(error)}",
            hint="check that the folder is complete; diffusers "
            f"{diffusers.__version__} has to know {folder.class_name}",
        ) from error
    _check_draws(text, folder)
    _place(text, settings.diffusion_offload, device)
    text.set_progress_bar_config(disable=True)
    found = Pipelines(text, folder, device)
    found.by_task = {"text": text, **_others(text, folder)}
    return found


def load_tiny(path: Path, pipelines: Pipelines) -> Any:
    """The tiny decoder (diffusers.AutoencoderTiny) in `path`. Raises DataError."""
    try:
        tiny = diffusers.AutoencoderTiny.from_pretrained(
            path, dtype=pipelines.text.dtype, local_files_only=True, use_safetensors=True
        )
    except Exception as error:
        raise DataError(
            f"The decoder for previews in {path} cannot be loaded: {_first_line(error)}",
            hint="give the folder of an AutoencoderTiny with safetensors, such as TAESD",
        ) from error
    return tiny.to(pipelines.device)


def _be_quiet() -> None:
    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()


def _class(folder: PipelineFolder, task: Task) -> Any:
    """The class of a task; a DataError if diffusers has none for text."""
    stem = folder.class_name
    for ending in ("Img2ImgPipeline", "InpaintPipeline", "Pipeline"):
        if stem.endswith(ending):
            stem = stem.removesuffix(ending)
            break
    found = getattr(diffusers, stem + _NAMES[task], None)
    if found is None and task == "text":
        raise DataError(
            f"diffusers {diffusers.__version__} has no {folder.class_name}, which {folder.path} "
            "needs",
            hint="a newer diffusers may have it",
        )
    return found


def _check_draws(text: Any, folder: PipelineFolder) -> None:
    """Raise DataError unless the pipeline draws pictures from text alone."""
    takes = inspect.signature(text.__call__).parameters
    network = getattr(text, "unet", None)
    is_known = {"prompt", "num_inference_steps"} <= set(takes) and "scheduler" in text.components
    if not is_known or any(name in takes for name in _OTHER_MEDIA):
        raise DataError(
            f"{folder.class_name} in {folder.path} does not draw pictures from text",
            hint="take a text-to-image pipeline",
        )
    if network is not None and network.config.in_channels != network.config.out_channels:
        raise DataError(
            f"The model in {folder.path} was made for filling in or changing pictures only",
            hint="take the text-to-image model that it was made from: it edits, too",
        )


def _others(text: Any, folder: PipelineFolder) -> dict[Task, Any]:
    """The pipelines for edits that there are for this one, with the same components.

    Built from the components: `from_pipe` of diffusers may cast what is shared to another type.
    """
    found: dict[Task, Any] = {}
    parts = {**text.config, **text.components}
    for task in ("image", "inpaint"):
        kind = _class(folder, task)
        if kind is None:
            continue
        names = inspect.signature(kind.__init__).parameters
        pipeline = kind(**{name: part for name, part in parts.items() if name in names})
        pipeline.set_progress_bar_config(disable=True)
        found[task] = pipeline
    return found


def _from_gguf(folder: PipelineFolder, file: Path, dtype: torch.dtype) -> Any:
    """The transformer of a GGUF file, configured by `transformer/config.json` of the folder."""
    if "transformer" not in folder.components:
        raise DataError(
            f"{folder.path} has no transformer that {file} could take the place of",
            hint="leave diffusion_transformer empty, or give the folder that the file belongs to",
        )
    if not file.is_file() or file.suffix != ".gguf":
        raise DataError(f"{file} is no GGUF file", hint="its name ends in .gguf")
    kind = getattr(diffusers, folder.class_of("transformer"))
    return kind.from_single_file(
        str(file),
        config=str(folder.path),
        subfolder="transformer",
        quantization_config=diffusers.GGUFQuantizationConfig(compute_dtype=dtype),
        dtype=dtype,
        local_files_only=True,
    )


def _device(settings: Settings) -> str:
    """Where to draw: as asked, or the best there is."""
    has = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if settings.device == "auto":
        return next(name for name in ("cuda", "mps", "cpu") if has[name])
    if not has[settings.device]:
        raise SettingsError(
            f"The device {settings.device} was asked for, and PyTorch {torch.__version__} finds "
            "none",
            hint="set LIMNER_DEVICE=auto, or install a PyTorch for it",
        )
    return settings.device


def _dtype(settings: Settings, device: str) -> torch.dtype:
    """The type of numbers: as asked, or 32 bits on a CPU and 16 elsewhere."""
    if settings.diffusion_dtype != "auto":
        return _DTYPES[settings.diffusion_dtype]
    if device == "cuda" and torch.cuda.is_bf16_supported():
        return torch.bfloat16
    return torch.float32 if device == "cpu" else torch.float16


def _place(pipeline: Any, offload: str, device: str) -> None:
    """Move the networks to `device`, or have each one moved there while it computes."""
    if offload == "off":
        pipeline.to(device)
        return
    if device == "cpu":
        raise SettingsError(
            f"LIMNER_DIFFUSION_OFFLOAD={offload} keeps a model in main memory for a GPU, and this "
            "one draws on the CPU",
            hint="set it to off",
        )
    if offload == "model":
        pipeline.enable_model_cpu_offload(device=device)
    else:
        pipeline.enable_sequential_cpu_offload(device=device)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__
