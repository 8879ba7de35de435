"""A run that starts from exported weights: the reverse of `limner export`.

Stages that are not copied are trained from scratch.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from limner.errors import SettingsError
from limner.model.bundle import Bundle, BundleConfig
from limner.model.contrastive import ContrastiveLoss
from limner.model.layout_transformer import LayoutTransformer
from limner.storage.checkpoints import quantised, weights
from limner.storage.files import wrap_os_errors, write_whole
from limner.training.weights import checkpoint
from limner.training.weights.resize_positions import at_px, on_grid

STAGES = ("text-tokenizer", "image-tokenizer", "generator", "upscaler", "planner", "restorer")
_PREFIXES = {
    "planner": ("planner.", ""),
    "image-tokenizer": ("image_tokenizer.", ""),
    "generator": ("transformer.", "transformer."),
    "upscaler": ("upscalers.", ""),
    "restorer": ("restorer.", ""),
}


def begin_run(
    source: Path,
    run: Path,
    stages: tuple[str, ...] = (),
    px: int | None = None,
    layouts: bool = False,
) -> Path:
    """Make the run at `run` of the weights folder `source`, or of some of its stages only.

    px: the side of drawn pictures before they are enlarged, in place of that of the weights; the
    grid gets as many more cells. layouts: make the transformer one that draws things in boxes.
    Raises WeightsError if the weights are missing or damaged, SettingsError if the run has one of
    those stages already or px does not fit, OutputError if it cannot be written.
    """
    found = weights.read(source)
    wanted = stages or STAGES
    for stage in wanted:
        if (run / stage).exists():
            raise SettingsError(
                f"There is a run {run} already, with the stage {stage}",
                hint="choose another name, delete the folder to begin again, or add only the "
                "stages that it lacks with --stage",
            )
    shapes = BundleConfig.from_dict(found.config["model"])
    tensors = tensors_of(found)
    if px is not None:
        tensors, shapes = _at_px(tensors, shapes, px)
    if layouts:
        tensors, shapes = _with_layouts(tensors, shapes)
    if "text-tokenizer" in wanted:
        text = found.file("text_tokenizer.json").read_bytes()
        with wrap_os_errors(run):
            (run / "text-tokenizer").mkdir(parents=True)
        write_whole(run / "text-tokenizer" / "text_tokenizer.json", text)
    about: dict[str, dict[str, Any]] = {
        "image-tokenizer": {"model": asdict(shapes.image_tokenizer)},
        "generator": {
            "model": asdict(shapes.transformer),
            "styles": found.config["styles"],
            "sampling": found.config["sampling"],
            "art": found.config.get("art"),
        },
        "upscaler": {"model": asdict(shapes.upscaler)},
    }
    if "planner" in found.config["model"]:  # older weights have none
        about["planner"] = {"model": found.config["model"]["planner"]}
    if shapes.restorer is not None:
        about["restorer"] = {"model": asdict(shapes.restorer)}
    for stage, described in about.items():
        if stage in wanted:
            _save(run / stage, _of(stage, tensors), described)
    return run


def _at_px(
    tensors: dict[str, Tensor], shapes: BundleConfig, px: int
) -> tuple[dict[str, Tensor], BundleConfig]:
    image_tokenizer = at_px(shapes.image_tokenizer, px)
    before = "transformer."
    own = {name.removeprefix(before): t for name, t in tensors.items() if name.startswith(before)}
    own, transformer = on_grid(own, shapes.transformer, image_tokenizer.grid)
    tensors = tensors | {before + name: t for name, t in own.items()}
    return tensors, replace(shapes, image_tokenizer=image_tokenizer, transformer=transformer)


def with_layouts(bundle: Bundle) -> Bundle:
    """The model with a transformer that draws things in boxes, untrained for them."""
    tensors, shapes = _with_layouts(bundle.state_dict(), bundle.config)
    made = Bundle(shapes)
    made.load_state_dict(tensors)
    return made


def _with_layouts(
    tensors: dict[str, Tensor], shapes: BundleConfig
) -> tuple[dict[str, Tensor], BundleConfig]:
    """The weights in a transformer that draws layouts, with its new parameters initialised."""
    transformer = replace(shapes.transformer, layouts=True, attention="dense")
    fresh = LayoutTransformer(transformer).state_dict()
    added = {
        f"transformer.{name}": value
        for name, value in fresh.items()
        if f"transformer.{name}" not in tensors
    }
    kept = {name: value for name, value in tensors.items() if not name.endswith(".table")}
    return kept | added, replace(shapes, transformer=transformer)


def tensors_of(found: weights.Checkpoint) -> dict[str, Tensor]:
    """All weights of a folder that draws, by name."""
    stored, tables = quantised.read(found)
    arrays: dict[str, Any] = {**quantised.unpack(stored), **tables}
    return {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}


def _of(stage: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a stage, by the names in its module."""
    before, after = _PREFIXES[stage]
    own = {
        after + name.removeprefix(before): tensor
        for name, tensor in tensors.items()
        if name.startswith(before)
    }
    if stage == "generator":  # the scale of the contrastive loss is not exported
        own |= {f"contrast.{name}": t for name, t in ContrastiveLoss().state_dict().items()}
    return own


def _save(folder: Path, model: dict[str, Tensor], about: dict[str, Any]) -> None:
    checkpoint.save(folder / "checkpoint", checkpoint.of_weights(model, about), {})
