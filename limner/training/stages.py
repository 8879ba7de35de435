"""The stages of a run in order, each a short function that starts the training loop.

A run is a folder with a subfolder for each stage: `text-tokenizer/`, `image-tokenizer/`,
`generator/`, `upscaler/`, `planner/` and `restorer/`, with checkpoint, log and contact sheets.
"""

import fcntl
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from limner.errors import SettingsError, WeightsError
from limner.model.bundle import Bundle, BundleConfig
from limner.model.image_tokenizer import ImageTokenizer, ImageTokenizerConfig
from limner.model.planner import Planner, PlannerConfig
from limner.model.restorer import FACTOR, RestorerConfig
from limner.model.transformer import TransformerConfig
from limner.model.upscaler import UpscalerConfig, upscalers
from limner.progress import StepProgress
from limner.storage.checkpoints import weights
from limner.storage.files import wrap_os_errors, write_whole
from limner.text.styles import in_style
from limner.text.text_tokenizer import TextTokenizer
from limner.training import precision
from limner.training.budget import steps_until
from limner.training.datasets import LibrarySet, TrainingSet
from limner.training.loop import Loop, LoopConfig, Task
from limner.training.presets import Preset
from limner.training.tasks import text_tokenizer
from limner.training.tasks.generator import (
    Generator,
    GeneratorTask,
    GeneratorTraining,
    SheetOfPrompts,
)
from limner.training.tasks.image_tokenizer import ImageTokenizerTask, ImageTokenizerTraining
from limner.training.tasks.layouts.examples import TileExamples
from limner.training.tasks.layouts.generator import LayoutGenerator, LayoutTask, LayoutTraining
from limner.training.tasks.layouts.sheet import SheetOfLayouts
from limner.training.tasks.layouts.tiles import choose_tiles, encode_tiles
from limner.training.tasks.planner import PlannerTask, PlannerTraining
from limner.training.tasks.restorer import RestorerTask, RestorerTraining
from limner.training.tasks.teacher import sentence_encoder
from limner.training.tasks.upscaler import UpscalerTask, UpscalerTraining, make_pairs
from limner.training.weights import checkpoint
from limner.training.workers.group import Workers

PROMPTS = (
    *("a red apple", "苹果", "a dog", "狗", "cat face", "猫", "a rocket", "火箭"),
    *("a house", "房子", "a fox, Twemoji style", "a fox, Noto style", "rainbow", "一棵树"),
    *("a red heart", "smiling face", "a car", "汽车", "pizza", "an elephant", "a star", "月亮"),
    *("a blue apple", "two cats", "three red apples", "a dog on a yellow background"),
    *("a green car", "a cat next to a dog", "a star above a house", "绿色背景上的一只狗"),
    *("一个蓝色的苹果", "三只猫"),
)
_BATCHES = ("batch", "single_batch")  # names of what is parted in a step of parts
_TOKENIZER_PICTURES = 12_000  # kept in memory, 16 KB each at 64 px


@dataclass(frozen=True)
class Run:
    """A training run: its folder, preset and data, and the options of the command."""

    folder: Path
    preset: Preset
    data: TrainingSet
    steps: int | None = None  # instead of the preset's
    device: str = "cpu"
    precision: str = "auto"
    seed: int = 0
    rate: float = 1.0  # of the preset's learning rates
    ends_at: float | None = None  # of time.monotonic(): when a stage must be over
    parts: int = 1  # of each step, if the stage begins; one that goes on keeps what it has
    workers: Workers = Workers()  # noqa: RUF009  has no state

    def loop(self, config: LoopConfig) -> LoopConfig:
        """The loop's config with the options of the run."""
        return replace(
            config,
            steps=self.steps or config.steps,
            lr=config.lr * self.rate,
            muon_lr=config.muon_lr * self.rate,
            device=self.device,
            precision=self.precision,
            seed=self.seed,
            parts=self.parts,
        )

    def part(self, stage: str) -> Path:
        """The folder of a stage."""
        return self.folder / stage


def train_text_tokenizer(run: Run, report: StepProgress) -> None:
    """Choose the characters and merges that become tokens."""
    config = text_tokenizer.TextTokenizerConfig(n_vocab=run.preset.n_vocab, max_han_characters=2)
    tokenizer = text_tokenizer.train(run.data.captions(), config)
    folder = run.part("text-tokenizer")
    with wrap_os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "text_tokenizer.json", tokenizer.to_json().encode())


def train_image_tokenizer(run: Run, report: StepProgress) -> None:
    """Train the image tokenizer: pictures to codes and back."""
    config = replace(run.preset.image_tokenizer, loop=run.loop(run.preset.image_tokenizer.loop))
    if config.decoder_only and not (run.part("image-tokenizer") / "checkpoint").exists():
        raise SettingsError(
            f"The run {run.folder} has no image tokenizer whose decoder could be trained on",
            hint="begin it from weights that draw (limner begin --px), or take preset nano",
        )
    px, n = config.model.image_px, min(run.data.n_pictures, _TOKENIZER_PICTURES)
    pictures = np.stack([run.data.picture(i, px) for i in range(n)])
    held_out = np.stack([run.data.held_out(i, px) for i in range(min(run.data.n_held_out, 1024))])
    _train(
        run,
        "image-tokenizer",
        lambda loop: ImageTokenizerTask(_of_part(config, loop), pictures, held_out),
        config.loop,
        {"model": asdict(config.model)},
    )


def train_generator(run: Run, report: StepProgress) -> None:
    """Train the transformer: captions to codes, or layouts to codes with a preset for layouts."""
    if run.preset.layouts is not None:
        _train_layouts(run, run.preset.layouts, report)
        return
    wanted = run.preset.generator
    weight = _weight_of_teacher(run.part("generator"), wanted.teacher)
    teacher = sentence_encoder() if weight else None
    tokenizer, image_tokenizer = load_text_tokenizer(run.folder), load_image_tokenizer(run.folder)
    image_tokenizer.to(run.device)
    train, held_out = run.data.examples(image_tokenizer, run.part("generator"), report)
    model = replace(
        wanted.model,
        n_vocab=tokenizer.n_vocab,
        grid=image_tokenizer.config.grid,
        n_codes=image_tokenizer.config.n_codes,
        n_groups=image_tokenizer.config.n_groups,
    )
    model = _without_boxes(run.part("generator"), model)
    config = replace(wanted, model=model, loop=run.loop(wanted.loop), teacher=weight)
    prompts = tuple(in_style(prompt, run.data.styles, seed=0, picture=0) for prompt in PROMPTS)
    sheet = SheetOfPrompts(prompts, image_tokenizer, run.preset.sampling["low"])
    about = _about(run, model, weight)
    _train(
        run,
        "generator",
        lambda loop: GeneratorTask(
            _of_part(config, loop), train, held_out, tokenizer, sheet, teacher
        ),
        config.loop,
        about,
    )


def _about(run: Run, model: TransformerConfig, teacher: float) -> dict[str, Any]:
    """The description in a checkpoint of the generator; teacher: the weight of its loss."""
    return {
        "model": asdict(model),
        "styles": [asdict(style) for style in run.data.styles],
        "sampling": run.preset.sampling_table(),
        "art": run.data.art,
        **({"teacher": teacher} if teacher else {}),
    }


def _weight_of_teacher(folder: Path, wanted: float) -> float:
    """The weight of the teacher's loss: `wanted`, or that of a run that goes on."""
    before = checkpoint.load(folder / "checkpoint")
    if before is None or "optimizers" not in before:
        return wanted
    weight = float(before["about"].get("teacher", 0.0))
    if weight != wanted:
        print(
            f"note: this run began with the teacher's loss at {weight:g} and keeps that; the "
            f"preset's {wanted:g} is not used",
            file=sys.stderr,
        )
    return weight


def _without_boxes(folder: Path, model: TransformerConfig) -> TransformerConfig:
    """The model's config for training on captions, which have no boxes.

    If the run starts from weights with boxes, they are removed from its checkpoint.
    `limner export --layouts` adds boxes again afterwards.
    """
    begun = checkpoint.load(folder / "checkpoint")
    if begun is None:
        return model
    # Weights with boxes have dense attention, and keep it without them.
    attention = begun["about"]["model"]["attention"]
    if attention != model.attention:
        print(
            f"note: these weights keep their {attention} attention; the preset's "
            f"{model.attention} attention is for weights trained from nothing",
            file=sys.stderr,
        )
        model = replace(model, attention=attention)
    if begun["about"]["model"].get("layouts") and "optimizers" not in begun:
        print(
            "note: captions do not say where things stand, so this run does not learn to place "
            "several things in a picture; `limner export --layouts` adds that after training",
            file=sys.stderr,
        )
        names = Generator(model).state_dict()
        kept = {name: begun["ema"][name] for name in names}
        about = begun["about"] | {"model": asdict(model)}
        checkpoint.save(folder / "checkpoint", checkpoint.of_weights(kept, about), {})
    return model


def _train_layouts(run: Run, wanted: LayoutTraining, report: StepProgress) -> None:
    """Train on scenes composed of tiles. SettingsError if the run's weights draw no layouts."""
    if not isinstance(run.data, LibrarySet):
        raise SettingsError(
            "Layouts are learned from drawings that scenes are composed of, not from pictures",
            hint="take --data art or --data shapes",
        )
    begun = _load(run.folder, "generator")
    model = TransformerConfig(**begun["about"]["model"])
    if not model.layouts:
        raise SettingsError(
            f"The generator of the run {run.folder} does not draw layouts",
            hint="begin the run from weights that draw: limner begin --layouts",
        )
    weight = _weight_of_teacher(run.part("generator"), wanted.teacher)
    teacher = sentence_encoder() if weight else None
    tokenizer, image_tokenizer = load_text_tokenizer(run.folder), load_image_tokenizer(run.folder)
    library, wanted_of = run.data.library, run.data.artist_weights
    tiles = choose_tiles(library, run.preset.tiles, run.data.weight)
    folder = run.part("generator")
    bank = encode_tiles(
        tiles, library, image_tokenizer, folder, lambda _what, done, n: report(done, n)
    )
    train, held_out = (
        TileExamples(
            library,
            bank,
            wanted_of,
            wanted.canvas,
            run.preset.tiles.every_single,
            wanted.mix,
            split,
        )
        for split in ("train", run.data.tested)
    )
    config = replace(wanted, model=model, loop=run.loop(wanted.loop), teacher=weight)
    sheet = SheetOfLayouts(image_tokenizer, run.preset.sampling["medium"])
    about = _about(run, model, weight)
    _train(
        run,
        "generator",
        lambda loop: LayoutTask(_of_part(config, loop), train, held_out, tokenizer, sheet, teacher),
        config.loop,
        about,
    )


def train_upscaler(run: Run, report: StepProgress) -> None:
    """Train the upscalers: small pictures, as the image tokenizer rebuilds them, to large ones."""
    config = replace(run.preset.upscaler, loop=run.loop(run.preset.upscaler.loop))
    tokenizer, data = load_image_tokenizer(run.folder), run.data
    n, passes = min(config.n_pictures, data.n_pictures), len(config.model.channels)
    pairs = make_pairs(tokenizer, data.picture, data.n_pictures, n, 0, report, passes)
    tested = min(32, data.n_held_out)
    held_out = make_pairs(tokenizer, data.held_out, data.n_held_out, tested, 0, n_passes=1)
    _train(
        run,
        "upscaler",
        lambda loop: UpscalerTask(_of_part(config, loop), pairs, held_out),
        config.loop,
        {"model": asdict(config.model)},
    )


def train_planner(run: Run, report: StepProgress) -> None:
    """Train the planner: prompts to things, with the nouns of the training set."""
    tokenizer, wanted = load_text_tokenizer(run.folder), run.preset.planner
    model = replace(wanted.model, n_vocab=tokenizer.n_vocab)
    config = replace(wanted, model=model, loop=run.loop(wanted.loop))
    nouns = [run.data.nouns(lang) for lang in ("en", "zh")]
    _train(
        run,
        "planner",
        lambda loop: PlannerTask(_of_part(config, loop), nouns, tokenizer),
        config.loop,
        {"model": asdict(model)},
    )


def train_restorer(run: Run, report: StepProgress) -> None:
    """Train the restorer: pictures that the image tokenizer has rebuilt, to twice the side."""
    config = replace(run.preset.restorer, loop=run.loop(run.preset.restorer.loop))
    tokenizer, data = load_image_tokenizer(run.folder), run.data
    px, n = tokenizer.config.image_px * FACTOR, min(data.n_pictures, _TOKENIZER_PICTURES)
    pictures = np.stack([data.picture(i, px) for i in range(n)])
    held_out = np.stack([data.held_out(i, px) for i in range(min(data.n_held_out, 512))])
    _train(
        run,
        "restorer",
        lambda loop: RestorerTask(_of_part(config, loop), tokenizer, pictures, held_out),
        config.loop,
        {"model": asdict(config.model)},
    )


STAGES: dict[str, Callable[[Run, StepProgress], None]] = {
    "text-tokenizer": train_text_tokenizer,
    "image-tokenizer": train_image_tokenizer,
    "generator": train_generator,
    "upscaler": train_upscaler,
    "planner": train_planner,
    "restorer": train_restorer,
}


def _train(
    run: Run,
    stage: str,
    make: Callable[[LoopConfig], Task],
    config: LoopConfig,
    about: dict[str, Any],
) -> None:
    ends_at = math.inf if run.ends_at is None else run.ends_at
    before = _loop_before(run.part(stage))
    config = replace(config, parts=int(before.get("parts", 1)) if before else config.parts)
    # Of several workers each may be of another speed, and the first one decides.
    config, why = run.workers.agreed(precision.chosen(config, before.get("precision")))
    if run.workers.n > config.parts:
        raise SettingsError(
            f"A step of the run in {run.folder} has {config.parts} parts, and there are "
            f"{run.workers.n} workers to share them",
            hint=f"take at most {config.parts} workers, or another name for the run",
        )
    if run.workers.is_first:
        print(why, file=sys.stderr)
    if run.ends_at is not None and run.steps is None:
        config = replace(config, steps=steps_until(make, config, run.part(stage), run.ends_at))
    with nullcontext() if run.workers.is_guarded else alone(run.part(stage)):
        # The initial weights depend on the seed only, not on what this process did before.
        torch.manual_seed(config.seed)
        loop = Loop(make(config), config, run.part(stage), about, run.workers)
        loop.resume()
        if len(set(run.workers.gathered(loop.step))) > 1:
            raise SettingsError(
                f"The workers see different checkpoints in {run.part(stage)}",
                hint="LIMNER_HOME must be one folder that all machines of the cluster share",
            )
        loop.run(ends_at=ends_at)


Training = TypeVar(
    "Training",
    ImageTokenizerTraining,
    GeneratorTraining,
    LayoutTraining,
    UpscalerTraining,
    PlannerTraining,
    RestorerTraining,
)


def _of_part(config: Training, loop: LoopConfig) -> Training:
    """The configuration of a task for which each part of a step is a step.

    Raises SettingsError if a batch cannot be divided into so many parts.
    """
    n = loop.parts
    batches = {name: getattr(config, name) for name in _BATCHES if hasattr(config, name)}
    for name, batch in batches.items():
        if batch % n:
            raise SettingsError(
                f"A {name} of {batch} cannot be divided among {n} workers",
                hint=f"take a number of workers that divides {batch}",
            )
    smaller = {name: batch // n for name, batch in batches.items()}
    found: Training = replace(config, loop=replace(loop, steps=loop.steps * n), **smaller)
    return found


def _loop_before(folder: Path) -> dict[str, Any]:
    """How a stage that goes on was trained; empty if it begins."""
    if not weights.exists(folder / "checkpoint"):
        return {}
    found: dict[str, Any] = weights.read(folder / "checkpoint").config.get("loop", {})
    return found


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Lock the stage's folder; SettingsError if another process trains it."""
    with wrap_os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingsError(
                f"The run in {folder} is being trained by another process",
                hint="wait for it, stop it, or choose another name for the run",
            ) from None
        yield


def load_text_tokenizer(folder: Path) -> TextTokenizer:
    """The text tokenizer of a run; WeightsError if its stage has not run."""
    path = folder / "text-tokenizer" / "text_tokenizer.json"
    if not path.exists():
        raise _not_trained("text-tokenizer", folder)
    return TextTokenizer.load(path)


def load_image_tokenizer(folder: Path) -> ImageTokenizer:
    """The image tokenizer of a run (EMA weights); WeightsError if its stage has not run."""
    state = _load(folder, "image-tokenizer")
    model = ImageTokenizer(ImageTokenizerConfig(**_tuples(state["about"]["model"])))
    model.load_state_dict(state["ema"])
    return model.eval()


def generation_config(folder: Path) -> dict[str, Any]:
    """The settings to draw with a run's generator: styles, sampling by quality, kind of art."""
    about = _load(folder, "generator")["about"]
    art = about.get("art")  # earlier runs have none
    return {
        "styles": about["styles"],
        "sampling": about["sampling"],
        **({"art": art} if art else {}),
    }


def load_bundle(folder: Path) -> tuple[Bundle, TextTokenizer]:
    """The whole model of a finished run, for drawing or export.

    Raises WeightsError naming the first stage that has not run.
    """
    text, image = load_text_tokenizer(folder), load_image_tokenizer(folder)
    generated, enlarged = _load(folder, "generator"), _load(folder, "upscaler")
    restoring = checkpoint.load(folder / "restorer" / "checkpoint")  # a run may have none
    config = BundleConfig(
        image.config,
        TransformerConfig(**generated["about"]["model"]),
        UpscalerConfig(**_tuples(enlarged["about"]["model"])),
        RestorerConfig(**_tuples(restoring["about"]["model"])) if restoring else None,
    )
    bundle = Bundle(config)
    bundle.image_tokenizer.load_state_dict(image.state_dict())
    kind = LayoutGenerator if config.transformer.layouts else Generator
    generator: Generator | LayoutGenerator = kind(config.transformer)
    generator.load_state_dict(checkpoint.without_training_only(generated["ema"]))
    bundle.transformer.load_state_dict(generator.transformer.state_dict())
    passes = upscalers(config.upscaler)
    passes.load_state_dict(enlarged["ema"])
    bundle.upscalers.load_state_dict(passes.state_dict())
    if restoring and bundle.restorer is not None:
        bundle.restorer.load_state_dict(restoring["ema"])
    return bundle.eval(), text


def load_planner(folder: Path) -> Planner | None:
    """The planner of a run (EMA weights); None if the run has none."""
    state = checkpoint.load(folder / "planner" / "checkpoint")
    if state is None:
        return None
    planner = Planner(PlannerConfig(**state["about"]["model"]))
    planner.load_state_dict(state["ema"])
    return planner.eval()


def _load(folder: Path, stage: str) -> dict[str, Any]:
    state = checkpoint.load(folder / stage / "checkpoint")
    if state is None:
        raise _not_trained(stage, folder)
    return state


def _not_trained(stage: str, folder: Path) -> WeightsError:
    return WeightsError(
        f"The run in {folder} has no {stage} yet", hint=f"train it first: limner train {stage}"
    )


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
