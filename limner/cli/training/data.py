"""`limner data`: build the training set, show scenes of it, caption pictures of your own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from limner import settings

HOME = click.option("--home", type=click.Path(path_type=Path), help="Use this LIMNER_HOME.")


@click.group()
def data() -> None:
    """Build the training set, show scenes of it, caption your own pictures."""


@data.command()
@click.option("--only", multiple=True, metavar="ARTIST", help="Only this artist; may be repeated.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 256))
@HOME
def build(only: tuple[str, ...], workers: int, home: Path | None) -> None:
    """Fetch the open art with npm and apt-get, render it, and write its manifest."""
    from limner.data.emoji import build as stage  # numpy and Pillow; not needed for --help
    from limner.data.emoji.art import ALL_ARTISTS

    folder = settings.load({"home": home}).home / "data"
    config = stage.BuildConfig(folder, only or ALL_ARTISTS, workers)
    with _progress() as report:
        path = stage.main(config, report)
    for artist, reason in stage.missing(path).items():
        click.echo(f"note: built without {artist}: {reason}", err=True)
    click.echo(path)


@data.command()
@click.option("-n", "count", default=48, show_default=True, type=click.IntRange(1, 1000))
@click.option("--split", default="train", show_default=True, help="The split to show scenes of.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@click.option("--lang", type=click.Choice(["en", "zh"]), help="The captions' language.")
@click.option("--px", default=128, show_default=True, type=click.IntRange(16, 256))
@click.option("--more-art", is_flag=True, help="Show scenes with the further artists, too.")
@click.option("--shapes", is_flag=True, help="Show the drawn shapes, which need no download.")
@click.option(
    "-o", "--output", default=Path("data.png"), show_default=True, type=click.Path(path_type=Path)
)
@HOME
def show(
    count: int,
    split: str,
    seed: int,
    lang: str | None,
    px: int,
    more_art: bool,
    shapes: bool,
    output: Path,
    home: Path | None,
) -> None:
    """Draw a page of random training scenes with their captions."""
    import numpy as np

    from limner.data import sheet
    from limner.data.emoji import art, splits
    from limner.data.emoji.library import Library
    from limner.data.sources import shapes as drawn
    from limner.data.sources.base import SceneSource

    split = splits.named(split)
    if split not in splits.SPLITS:
        raise click.BadParameter(
            f"{split!r} is not one of {', '.join(splits.SPLITS)}", param_hint="--split"
        )
    font = sheet.chinese_font()
    if shapes:
        library = drawn.library()
    else:
        artists = art.ALL_ARTISTS if more_art else art.ARTISTS
        library = Library.open(settings.load({"home": home}).home / "data", artists)
    source = SceneSource(library, count, split, seed=seed, n_captions=1)
    samples = [source.get(index, px) for index in range(count)]
    # Without a Chinese font the captions would be rows of empty boxes.
    choices = [lang] if lang else ["en", "zh"] if font else ["en"]
    rng = np.random.default_rng(seed)
    texts = [sample.captions[choices[int(rng.integers(len(choices)))]][0] for sample in samples]
    sheet.write_sheet([sample.picture for sample in samples], texts, output, font_path=font)
    click.echo(output)


@data.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
def captions(folder: Path) -> None:
    """Write captions from file names, for pictures in FOLDER that have none.

    "red_fox-02.png" gets "red_fox-02.txt" with "red fox" and "a red fox". Look through the files
    before you train: captions are what the model learns the pictures by.
    """
    from limner.data.sources.file_names import write_captions

    n_written, unnamed = write_captions(folder)
    click.echo(f"wrote {n_written} files of captions", err=True)
    if unnamed:
        shown = ", ".join(unnamed[:5]) + (", …" if len(unnamed) > 5 else "")
        click.echo(f"{len(unnamed)} names say nothing, caption them yourself: {shown}", err=True)


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on stderr, one pass for each stage of the build."""
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True), redirect_stdout=False) as bar:
        task = bar.add_task("starting", total=None)

        def report(stage: str, done: int, total: int) -> None:
            bar.update(task, description=stage, completed=done, total=total)

        yield report
