"""`limner evaluate`: measure how well the engine draws."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from limner import settings
from limner.cli.training.train import run_folder
from limner.errors import MissingExtra, OutputError
from limner.request import QUALITIES, Quality
from limner.studio import Studio

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from limner.evaluation.judge.judge import Judge
    from limner.evaluation.measures.edits import DrawnRequest
    from limner.evaluation.things.report import ThingsReport
    from limner.request import ImageRequest
    from limner.settings import Settings

_SPLITS = "in_distribution,unseen_concept,compositional,paraphrase"
_PARTS = "edits,variations,words,things"
_THINGS = "things"  # measured by limner.evaluation


@click.command()
@click.option("--weights", metavar="NAME", help="Shipped weights by name, or a checkpoint folder.")
@click.option("--engine", metavar="NAME", help="An engine listed by `limner models`.")
@click.option(
    "-n",
    "--n",
    type=click.IntRange(2),
    default=200,
    show_default=True,
    help="Questions a split and language.",
)
@click.option(
    "--splits", default=_SPLITS, show_default=True, help='Which sets of questions; "" for none.'
)
@click.option(
    "--parts",
    default=_PARTS,
    show_default=True,
    help='What else is measured, of these and qualities (each one\'s time and worth); "" for none.',
)
@click.option(
    "--only",
    metavar="PARTS",
    help="Only figures about single things: compositions, masks, looks, edges, variety; or things "
    "for all of these.",
)
@click.option(
    "--purpose",
    type=click.Choice(["report", "choose"]),
    default="report",
    show_default=True,
    help="Questions about things: those of the report, or others to choose settings by.",
)
@click.option("--languages", default="en,zh", show_default=True, help="Languages of the prompts.")
@click.option(
    "--best-of",
    type=click.IntRange(1, 16),
    default=1,
    show_default=True,
    help="Also draw this many candidates and keep the one that the engine scores best.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**31 - 1),
    default=0,
    show_default=True,
    help="The same seed asks the same questions.",
)
@click.option(
    "--quality",
    metavar="|".join(QUALITIES),
    default="medium",
    show_default=True,
    help="How to draw.",
)
@click.option("--run", metavar="NAME", help="Training run whose image tokenizer takes part.")
@click.option(
    "--data",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="What `limner data build` made.  [default: LIMNER_HOME/data]",
)
@click.option(
    "--json",
    "json_path",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="Write all figures to this file.",
)
@click.option(
    "--sheet",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="Write a page of pictures beside the nearest training drawings.",
)
@click.option("--home", type=click.Path(path_type=Path), help="Use this LIMNER_HOME.")
def evaluate(
    weights: str | None,
    engine: str | None,
    n: int,
    splits: str,
    parts: str,
    only: str | None,
    purpose: str,
    languages: str,
    best_of: int,
    seed: int,
    quality: Quality,
    run: str | None,
    data: Path | None,
    json_path: Path | None,
    sheet: Path | None,
    home: Path | None,
) -> None:
    """Draw answers to many prompts and print how an independent judge scores them.

    Needs the extras train and evaluate, and the art of `limner data build`. The judge is trained
    on first use, which takes some minutes. With 200 questions about 1,600 pictures are drawn for
    the splits, 1,200 for edits, 800 for variations, 600 for words and 1,100 for things.
    """
    from limner.data.emoji import splits as split_names

    loaded = settings.load({"home": home, "engine": engine, "weights": weights})
    for path in (json_path, sheet):
        _check_folder_of(path)
    asked_splits = tuple(map(split_names.named, _names(splits)))
    asked_parts = _names(parts)
    if only is not None:
        asked_splits, asked_parts = (), (_THINGS,)
    old_parts = tuple(part for part in asked_parts if part != _THINGS)
    stage = _stage(loaded.threads)
    config = stage.EvaluateConfig(
        n=n,
        splits=asked_splits,
        languages=_names(languages),
        parts=old_parts,
        quality=quality,
        best_of=best_of,
        seed=seed,
        sheet=sheet,
        cache=loaded.home / "evaluation",
    )
    studio = Studio(loaded)
    click.get_current_context().call_on_close(studio.close)
    draw, folder, progress = drawer(studio, quality), data or loaded.home / "data", _Progress()
    name = f"{loaded.engine} {loaded.weights}, {quality}"
    figures: dict[str, Any] = {}
    seconds = 0.0
    if asked_splits or old_parts or run is not None:
        judge = _judge(loaded, folder, progress)
        trained = None if run is None else run_folder(loaded.home, run)
        report = stage.main(draw, folder, judge, config, trained, progress, name, asker(studio))
        click.echo(report.markdown(), nl=False)
        figures, seconds = json.loads(report.to_json()), report.seconds
    if _THINGS in asked_parts:
        found = _things(
            studio, folder, _names(only or _THINGS), n, purpose, seed, quality, name, progress
        )
        click.echo(found.markdown(), nl=False)
        figures["things"], seconds = found.to_dict(), seconds + found.seconds
    if json_path is not None:
        from limner.storage.files import write_whole

        text = json.dumps(figures, indent=2, ensure_ascii=False) + "\n"
        write_whole(json_path, text.encode())
    click.echo(f"evaluated in {seconds:.0f} s", err=True)


def _things(
    studio: Studio,
    data: Path,
    parts: tuple[str, ...],
    n: int,
    purpose: str,
    seed: int,
    quality: Quality,
    name: str,
    progress: _Progress,
) -> ThingsReport:
    """Evaluate drawings of single things."""
    from limner.evaluation.things import run

    cache = studio.settings.home / "evaluation"
    chosen = run.PARTS if parts == (_THINGS,) else parts
    config = run.ThingsConfig(n, purpose, seed, quality, chosen, cache)
    return run.main(studio, data, config, name, progress)


def _names(listed: str) -> tuple[str, ...]:
    """Split a comma-separated list; empty for an empty text."""
    return tuple(name.strip() for name in listed.split(",") if name.strip())


def _check_folder_of(path: Path | None) -> None:
    """Raise OutputError now rather than after an hour of drawing."""
    if path is not None and not path.absolute().parent.is_dir():
        raise OutputError(f"There is no folder {path.parent} to write {path.name} into")


def _stage(threads: int) -> Any:
    """Import the evaluation, which needs PyTorch. Raises MissingExtra."""
    try:
        import torch

        from limner.evaluation import run as stage
    except ImportError as error:
        raise MissingExtra(
            f"Evaluation needs {error.name}, which is not installed",
            hint="pip install 'limner[train,evaluate]'",
        ) from error
    if threads:
        torch.set_num_threads(threads)
    return stage


def drawer(
    studio: Studio, quality: Quality
) -> Callable[
    [Sequence[str], Sequence[int]], tuple[NDArray[np.uint8], NDArray[np.floating] | None]
]:
    """A function from prompts and seeds to pictures and scores of the studio's engine."""
    import numpy as np

    from limner.request import SIZES, ImageRequest

    # Report a wrong quality or a missing engine now, before a judge is trained.
    ImageRequest("a cat", size=SIZES[0], quality=quality)
    studio.engine()

    def draw(
        prompts: Sequence[str], seeds: Sequence[int]
    ) -> tuple[NDArray[np.uint8], NDArray[np.floating] | None]:
        pictures = [
            studio.pictures(ImageRequest(prompt, size=SIZES[0], quality=quality, seed=seed))[0]
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]
        scores = [picture.score for picture in pictures if picture.score is not None]
        known = np.array(scores) if len(scores) == len(pictures) else None
        return np.stack([picture.pixels for picture in pictures]), known

    return draw


def asker(studio: Studio) -> Callable[[ImageRequest], DrawnRequest]:
    """A function from requests to pictures, steps and seconds of the studio's engine."""
    from limner.engines.base import Picture, Progress
    from limner.evaluation.measures.edits import DrawnRequest

    def ask(request: ImageRequest) -> DrawnRequest:
        started = time.perf_counter()
        pictures, n_steps = {}, 0
        for event in studio.draw(request):
            if isinstance(event, Picture):
                pictures[event.index] = event.pixels
            elif isinstance(event, Progress):
                n_steps = event.total
        seconds = time.perf_counter() - started
        return DrawnRequest([pictures[index] for index in sorted(pictures)], n_steps, seconds)

    return ask


def _judge(loaded: Settings, data: Path, progress: _Progress) -> Judge:
    """Load the judge of LIMNER_HOME, or train it if there is none."""
    from limner.evaluation.judge import judge
    from limner.storage.checkpoints import weights

    folder = loaded.home / "judge"
    if not weights.exists(folder):
        click.echo("note: there is no judge yet; training one", err=True)
        config = judge.JudgeConfig(data=data, output=folder, threads=loaded.threads)
        return judge.main(config, progress)
    return judge.load(folder, loaded.threads)


class _Progress:
    """Prints a line on stderr when a stage begins or ends, and every few seconds."""

    _EVERY_S = 10.0

    def __init__(self) -> None:
        self._stage, self._said_s = "", 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        name, now = stage.split(",")[0], time.monotonic()
        if name == self._stage and now - self._said_s < self._EVERY_S and done < total:
            return
        self._stage, self._said_s = name, now
        click.echo(f"{stage}: {done} of {total}", err=True)
