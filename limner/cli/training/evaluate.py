"""`limner evaluate`: measure how well the engine draws."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from limner import settings
from limner.cli import unused_options
from limner.cli.training.train import run_folder
from limner.errors import OutputError, needed
from limner.request import QUALITIES, Quality
from limner.storage.files import write_whole
from limner.studio import Studio

if TYPE_CHECKING:
    from limner.evaluation.judge.judge import Judge
    from limner.evaluation.report import EvaluationReport
    from limner.evaluation.things.report import ThingsReport
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
    weights: str | None, engine: str | None, home: Path | None, json_path: Path | None, **how: Any
) -> None:
    """Draw answers to many prompts and print how an independent judge scores them.

    Needs the extras train and evaluate, and the art of `limner data build`. The judge is trained
    on first use, which takes some minutes. With 200 questions about 1,600 pictures are drawn for
    the splits, 1,200 for edits, 800 for variations, 600 for words and 1,100 for things.
    """
    loaded = settings.load({"home": home, "engine": engine, "weights": weights})
    asked = _Asked.taken(how, loaded)
    for path in (json_path, asked.sheet):
        _check_folder_of(path)
    stage = _stage(loaded.threads)
    config = asked.config(stage, loaded)
    studio = Studio(loaded)
    click.get_current_context().call_on_close(studio.close)
    progress, name = _Progress(), f"{loaded.engine} {loaded.weights}, {asked.quality}"
    figures: dict[str, Any] = {}
    seconds = 0.0
    if asked.needs_judge:
        report = _with_judge(studio, asked, config, name, progress, stage)
        click.echo(report.markdown(), nl=False)
        figures, seconds = json.loads(report.to_json()), report.seconds
    if asked.things:
        found = _things(studio, asked, name, progress)
        click.echo(found.markdown(), nl=False)
        figures["things"], seconds = found.to_dict(), seconds + found.seconds
    if json_path is not None:
        text = json.dumps(figures, indent=2, ensure_ascii=False) + "\n"
        write_whole(json_path, text.encode())
    click.echo(f"evaluated in {seconds:.0f} s", err=True)


@dataclass(frozen=True)
class _Asked:
    """What is measured, and how."""

    n: int
    splits: tuple[str, ...]
    parts: tuple[str, ...]  # but for things
    things: tuple[str, ...]  # figures about single things; all of them: ("things",)
    languages: tuple[str, ...]
    purpose: str
    best_of: int
    seed: int
    quality: Quality
    run: str | None
    sheet: Path | None
    data: Path

    @classmethod
    def taken(cls, how: dict[str, Any], loaded: Settings) -> _Asked:
        """From the options of the command. Raises InvalidRequest for one without effect."""
        from limner.data.emoji import splits as split_names

        only = how.pop("only")
        splits: tuple[str, ...] = ()
        parts: tuple[str, ...] = ()
        if only is not None:
            unused_options.refuse(("splits", "parts"), "beside --only")
            things = _names(only)
        else:
            splits = tuple(map(split_names.named, _names(how["splits"])))
            named = _names(how["parts"])
            parts = tuple(part for part in named if part != _THINGS)
            things = (_THINGS,) if _THINGS in named else ()
        if not things:
            unused_options.refuse(("purpose",), "without the part things")
        if not splits:
            unused_options.refuse(("best_of", "sheet"), "without a split")
            if "words" not in parts:
                unused_options.refuse(("languages",), "without a split and without the part words")
        how |= {"splits": splits, "parts": parts, "things": things}
        how |= {"languages": _names(how["languages"]), "data": how["data"] or loaded.home / "data"}
        return cls(**how)

    @property
    def needs_judge(self) -> bool:
        """Whether there is anything to measure but single things."""
        return bool(self.splits or self.parts or self.run is not None)

    def config(self, stage: Any, loaded: Settings) -> Any:
        """As the evaluation takes it. Raises DataError for an unknown split or part."""
        return stage.EvaluateConfig(
            n=self.n,
            splits=self.splits,
            languages=self.languages,
            parts=self.parts,
            quality=self.quality,
            best_of=self.best_of,
            seed=self.seed,
            sheet=self.sheet,
            cache=loaded.home / "evaluation",
        )


def _with_judge(
    studio: Studio, asked: _Asked, config: Any, name: str, progress: _Progress, stage: Any
) -> EvaluationReport:
    """Evaluate splits and parts."""
    from limner.evaluation.ask_studio import asker, drawer

    draw, loaded = drawer(studio, asked.quality), studio.settings
    judge = _judge(loaded, asked.data, progress)
    trained = None if asked.run is None else run_folder(loaded.home, asked.run)
    report: EvaluationReport = stage.main(
        draw, asked.data, judge, config, trained, progress, name, asker(studio)
    )
    return report


def _things(studio: Studio, asked: _Asked, name: str, progress: _Progress) -> ThingsReport:
    """Evaluate drawings of single things."""
    from limner.evaluation.things import run

    parts = run.PARTS if asked.things == (_THINGS,) else asked.things
    config = run.ThingsConfig(
        asked.n,
        asked.purpose,
        asked.seed,
        asked.quality,
        parts,
        studio.settings.home / "evaluation",
    )
    return run.main(studio, asked.data, config, name, progress)


def _names(listed: str) -> tuple[str, ...]:
    """Split a comma-separated list; empty for an empty text."""
    return tuple(name.strip() for name in listed.split(",") if name.strip())


def _check_folder_of(path: Path | None) -> None:
    """Raise OutputError now rather than after an hour of drawing."""
    if path is not None and not path.absolute().parent.is_dir():
        raise OutputError(f"There is no folder {path.parent} to write {path.name} into")


def _stage(threads: int) -> Any:
    """Import the evaluation, which needs PyTorch. Raises MissingExtra."""
    with needed("Evaluation", "limner[train,evaluate]"):
        import torch

        from limner.evaluation import run as stage
    if threads:
        torch.set_num_threads(threads)
    return stage


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
