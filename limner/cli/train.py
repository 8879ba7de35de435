"""`limner train` and `limner export`: from pictures to weights that draw."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from limner import settings
from limner.errors import MissingExtra

STAGES = ("text-tokenizer", "image-tokenizer", "generator", "upscaler")


@click.command()
@click.argument("stage", type=click.Choice([*STAGES, "all"]))
@click.option("--preset", default="nano", show_default=True, help="nano, small or tiny.")
@click.option("--name", default="mine", show_default=True, help="Of the run's folder.")
@click.option(
    "--data",
    default="art",
    show_default=True,
    help='"art" (see limner data build), "shapes" (no download), or a folder of pictures.',
)
@click.option("--steps", type=click.IntRange(1), help="Instead of the preset's.")
@click.option("--depth", type=click.IntRange(1, 32), help="Layers a stack; width follows.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, …")
@click.option(
    "--precision",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "float32", "bfloat16"]),
)
@click.option("--threads", default=0, show_default=True, type=click.IntRange(0), help="0: all.")
@click.option("--home", type=click.Path(path_type=Path), help="Use this LIMNER_HOME.")
def train(
    stage: str,
    preset: str,
    name: str,
    data: str,
    steps: int | None,
    depth: int | None,
    device: str,
    precision: str,
    threads: int,
    home: Path | None,
) -> None:
    """Train a STAGE, or all of them in order, and print the run's folder.

    A run that was interrupted goes on from its last checkpoint when the same command runs again.
    """
    torch, stages, presets, sets = _training()
    if threads:
        torch.set_num_threads(threads)
    place = settings.load({"home": home}).home
    chosen = presets.preset(preset, depth)
    opened = sets.open_set(data, place / "data", chosen.set)
    run = stages.Run(
        place / "training" / name, chosen, opened, steps=steps, device=device, precision=precision
    )
    for part in STAGES if stage == "all" else (stage,):
        click.echo(f"training the {part}", err=True)
        with _reporting() as report:
            stages.STAGES[part](run, report)
    click.echo(run.folder)


@click.command()
@click.argument("run")
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path))
@click.option("--name", help="What pictures say they were drawn by; the run's name by default.")
@click.option("--preset", default="nano", show_default=True, help="Whose qualities to draw with.")
@click.option("--home", type=click.Path(path_type=Path), help="Use this LIMNER_HOME.")
def export(run: str, output: Path, name: str | None, preset: str, home: Path | None) -> None:
    """Write what RUN has trained as a folder of weights that the engine draws from.

    Draw with it by `LIMNER_WEIGHTS=FOLDER limner draw …`.
    """
    _, stages, presets, _ = _training()
    from dataclasses import asdict

    from limner import __version__
    from limner.engines.onnx_export import export as write

    folder = settings.load({"home": home}).home / "training" / run
    bundle, tokenizer = stages.load_bundle(folder)
    sampling = {q: asdict(c) for q, c in presets.preset(preset).sampling.items()}
    about = {
        "name": name or run,
        "version": __version__,
        "sampling": sampling,
        "styles": stages.styles(folder),
    }
    click.echo(write(bundle, tokenizer, output, about).path)


def _training():  # type: ignore[no-untyped-def]
    """torch and the training modules, which only these commands need."""
    try:
        import torch

        from limner.training import presets, sets, stages
    except ImportError as error:
        raise MissingExtra(
            f"Training needs {error.name}, which is not installed",
            hint="pip install 'limner[train]'",
        ) from error
    return torch, stages, presets, sets


@contextmanager
def _reporting() -> Iterator[Callable[[int, int], None]]:
    """A bar for the work before the first step."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("preparing", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
