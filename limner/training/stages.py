"""The stages of a run, in their order, each a short function over the one loop.

A run is a folder: `text-tokenizer/`, `image-tokenizer/`, `generator/`, `upscaler/` and `planner/`,
each with its checkpoint, its log and its contact sheets.
"""

import fcntl
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from limner.errors import SettingsError, WeightsError
from limner.model.bundle import Bundle, BundleConfig
from limner.model.image_tokenizer import ImageTokenizer, ImageTokenizerConfig
from limner.model.planner import Planner, PlannerConfig
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
from limner.training.tasks.generator import Generator, GeneratorTask, SheetOfPrompts
from limner.training.tasks.image_tokenizer import ImageTokenizerTask
from limner.training.tasks.layouts.examples import TileExamples
from limner.training.tasks.layouts.generator import LayoutGenerator, LayoutTask, LayoutTraining
from limner.training.tasks.layouts.sheet import SheetOfLayouts
from limner.training.tasks.layouts.tiles import choose_tiles, encode_tiles
from limner.training.tasks.planner import PlannerTask
from limner.training.tasks.upscaler import UpscalerTask, make_pairs
from limner.training.weights import checkpoint

PROMPTS = (
    *("a red apple", "苹果", "a dog", "狗", "cat face", "猫", "a rocket", "火箭"),
    *("a house", "房子", "a fox, Twemoji style", "a fox, Noto style", "rainbow", "一棵树"),
    *("a red heart", "smiling face", "a car", "汽车", "pizza", "an elephant", "a star", "月亮"),
    *("a blue apple", "two cats", "three red apples", "a dog on a yellow background"),
    *("a green car", "a cat next to a dog", "a star above a house", "绿色背景上的一只狗"),
    *("一个蓝色的苹果", "三只猫"),
)
_TOKENIZER_PICTURES = 12_000  # kept in memory, 16 KB each at 64 px


@dataclass(frozen=True)
class Run:
    """A training run: where it lives, what it trains and on what."""

    folder: Path
    preset: Preset
    data: TrainingSet
    steps: int | None = None  # instead of the preset's
    device: str = "cpu"
    precision: str = "auto"
    seed: int = 0
    rate: float = 1.0  # of the preset's learning rates
    ends_at: float | None = None  # of time.monotonic(): when a stage must be over

    def loop(self, config: LoopConfig) -> LoopConfig:
        """A stage's loop with the run's wishes."""
        return replace(
            config,
            steps=self.steps or config.steps,
            lr=config.lr * self.rate,
            muon_lr=config.muon_lr * self.rate,
            device=self.device,
            precision=self.precision,
            seed=self.seed,
        )

    def part(self, stage: str) -> Path:
        """The folder of a stage."""
        return self.folder / stage


def train_text_tokenizer(run: Run, report: StepProgress) -> None:
    """Which characters and merges are worth a token."""
    config = text_tokenizer.TextTokenizerConfig(n_vocab=run.preset.n_vocab, max_han_characters=2)
    tokenizer = text_tokenizer.train(run.data.captions(), config)
    folder = run.part("text-tokenizer")
    with wrap_os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "text_tokenizer.json", tokenizer.to_json().encode())


def train_image_tokenizer(run: Run, report: StepProgress) -> None:
    """Pictures to codes and back."""
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
        lambda loop: ImageTokenizerTask(replace(config, loop=loop), pictures, held_out),
        config.loop,
        {"model": asdict(config.model)},
    )


def train_generator(run: Run, report: StepProgress) -> None:
    """Captions to codes, or layouts to codes if the preset says so."""
    if run.preset.layouts is not None:
        _train_layouts(run, run.preset.layouts, report)
        return
    tokenizer, image_tokenizer = load_text_tokenizer(run.folder), load_image_tokenizer(run.folder)
    image_tokenizer.to(run.device)
    train, held_out = run.data.examples(image_tokenizer, run.part("generator"), report)
    wanted = run.preset.generator
    model = replace(
        wanted.model,
        n_vocab=tokenizer.n_vocab,
        grid=image_tokenizer.config.grid,
        n_codes=image_tokenizer.config.n_codes,
        n_groups=image_tokenizer.config.n_groups,
    )
    model = _without_boxes(run.part("generator"), model)
    config = replace(wanted, model=model, loop=run.loop(wanted.loop))
    prompts = tuple(in_style(prompt, run.data.styles, seed=0, picture=0) for prompt in PROMPTS)
    sheet = SheetOfPrompts(prompts, image_tokenizer, run.preset.sampling["low"])
    about = _about(run, model)
    _train(
        run,
        "generator",
        lambda loop: GeneratorTask(replace(config, loop=loop), train, held_out, tokenizer, sheet),
        config.loop,
        about,
    )


def _about(run: Run, model: TransformerConfig) -> dict[str, Any]:
    """What a checkpoint of the generator says of itself."""
    return {
        "model": asdict(model),
        "styles": [asdict(style) for style in run.data.styles],
        "sampling": run.preset.sampling_table(),
        "art": run.data.art,
    }


def _without_boxes(folder: Path, model: TransformerConfig) -> TransformerConfig:
    """The shape to train on captions; a run that begins with boxes goes on without them.

    Captions do not say where things stand. `limner begin --layouts` adds boxes again afterwards.
    """
    begun = checkpoint.load(folder / "checkpoint")
    if begun is None:
        return model
    # Weights with boxes see every cell; a run that has lost its boxes keeps that.
    model = replace(model, attention=begun["about"]["model"]["attention"])
    if begun["about"]["model"].get("layouts") and "optimizers" not in begun:
        names = Generator(model).state_dict()
        kept = {name: begun["average"][name] for name in names}
        about = begun["about"] | {"model": asdict(model)}
        state = {"model": kept, "average": kept, "step": 0, "about": about}
        checkpoint.save(folder / "checkpoint", state, {})
    return model


def _train_layouts(run: Run, wanted: LayoutTraining, report: StepProgress) -> None:
    """Scenes composed of tiles; the run must be one of weights that draw layouts."""
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
    config = replace(wanted, model=model, loop=run.loop(wanted.loop))
    sheet = SheetOfLayouts(image_tokenizer, run.preset.sampling["medium"])
    about = _about(run, model)
    _train(
        run,
        "generator",
        lambda loop: LayoutTask(replace(config, loop=loop), train, held_out, tokenizer, sheet),
        config.loop,
        about,
    )


def train_upscaler(run: Run, report: StepProgress) -> None:
    """Small pictures, as the image tokenizer rebuilds them, to large ones."""
    config = replace(run.preset.upscaler, loop=run.loop(run.preset.upscaler.loop))
    tokenizer, data = load_image_tokenizer(run.folder), run.data
    n, passes = min(config.n_pictures, data.n_pictures), len(config.model.channels)
    pairs = make_pairs(tokenizer, data.picture, data.n_pictures, n, 0, report, passes)
    tested = min(32, data.n_held_out)
    held_out = make_pairs(tokenizer, data.held_out, data.n_held_out, tested, 0, n_passes=1)
    _train(
        run,
        "upscaler",
        lambda loop: UpscalerTask(replace(config, loop=loop), pairs, held_out),
        config.loop,
        {"model": asdict(config.model)},
    )


def train_planner(run: Run, report: StepProgress) -> None:
    """Prompts to layouts, from the words of the training set alone."""
    tokenizer, wanted = load_text_tokenizer(run.folder), run.preset.planner
    model = replace(wanted.model, n_vocab=tokenizer.n_vocab)
    config = replace(wanted, model=model, loop=run.loop(wanted.loop))
    nouns = [run.data.nouns(lang) for lang in ("en", "zh")]
    _train(
        run,
        "planner",
        lambda loop: PlannerTask(replace(config, loop=loop), nouns, tokenizer),
        config.loop,
        {"model": asdict(model)},
    )


STAGES: dict[str, Callable[[Run, StepProgress], None]] = {
    "text-tokenizer": train_text_tokenizer,
    "image-tokenizer": train_image_tokenizer,
    "generator": train_generator,
    "upscaler": train_upscaler,
    "planner": train_planner,
}


def _train(
    run: Run,
    stage: str,
    make: Callable[[LoopConfig], Task],
    config: LoopConfig,
    about: dict[str, Any],
) -> None:
    ends_at = math.inf if run.ends_at is None else run.ends_at
    config, why = precision.chosen(config, _precision_before(run.part(stage)))
    print(why, file=sys.stderr)
    if run.ends_at is not None and run.steps is None:
        config = replace(config, steps=steps_until(make, config, run.part(stage), run.ends_at))
    with _alone(run.part(stage)):
        # The first weights too must not depend on what this process has done before.
        torch.manual_seed(config.seed)
        loop = Loop(make(config), config, run.part(stage), about)
        loop.resume()
        loop.run(ends_at=ends_at)


def _precision_before(folder: Path) -> str | None:
    """What a stage that goes on was trained in; None if it begins."""
    if not weights.exists(folder / "checkpoint"):
        return None
    loop = weights.read(folder / "checkpoint").config.get("loop", {})
    return str(loop["precision"]) if "precision" in loop else None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes from training what this one trains; SettingsError if one does."""
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
    """What the first stage made; WeightsError if it has not run."""
    path = folder / "text-tokenizer" / "text_tokenizer.json"
    if not path.exists():
        raise _not_trained("text-tokenizer", folder)
    return TextTokenizer.load(path)


def load_image_tokenizer(folder: Path) -> ImageTokenizer:
    """What the second stage made, averaged weights; WeightsError if it has not run."""
    state = _load(folder, "image-tokenizer")
    model = ImageTokenizer(ImageTokenizerConfig(**_tuples(state["about"]["model"])))
    model.load_state_dict(state["average"])
    return model.eval()


def generation_config(folder: Path) -> dict[str, Any]:
    """How a run's generator wants to be drawn with: its styles, sampling by quality, its art."""
    about = _load(folder, "generator")["about"]
    art = about.get("art")  # runs of before have none
    return {
        "styles": about["styles"],
        "sampling": about["sampling"],
        **({"art": art} if art else {}),
    }


def load_bundle(folder: Path) -> tuple[Bundle, TextTokenizer]:
    """Everything a finished run has made, ready to draw or to be exported.

    Raises WeightsError naming the first stage that has not run.
    """
    text, image = load_text_tokenizer(folder), load_image_tokenizer(folder)
    generated, enlarged = _load(folder, "generator"), _load(folder, "upscaler")
    config = BundleConfig(
        image.config,
        TransformerConfig(**generated["about"]["model"]),
        UpscalerConfig(**_tuples(enlarged["about"]["model"])),
    )
    bundle = Bundle(config)
    bundle.image_tokenizer.load_state_dict(image.state_dict())
    kind = LayoutGenerator if config.transformer.layouts else Generator
    generator: Generator | LayoutGenerator = kind(config.transformer)
    generator.load_state_dict(generated["average"])
    bundle.transformer.load_state_dict(generator.transformer.state_dict())
    passes = upscalers(config.upscaler)
    passes.load_state_dict(enlarged["average"])
    bundle.upscalers.load_state_dict(passes.state_dict())
    return bundle.eval(), text


def load_planner(folder: Path) -> Planner | None:
    """The planner of a run, averaged weights; None if the run has not trained one."""
    state = checkpoint.load(folder / "planner" / "checkpoint")
    if state is None:
        return None
    planner = Planner(PlannerConfig(**state["about"]["model"]))
    planner.load_state_dict(state["average"])
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
