"""`limner train` and `limner export`: from pictures to weights."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from limner import settings
from limner.cli import unused_options
from limner.errors import SettingsError, needed

STAGES = ("text-tokenizer", "image-tokenizer", "generator", "upscaler", "planner", "restorer")
_OF_ALL = STAGES[:-1]  # only flat art gains from a restorer, which takes an hour
_RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@click.command()
@click.argument("stage", type=click.Choice([*STAGES, "all"]))
@click.option("--preset", default="nano", show_default=True, help="nano, nano-96, small, tiny…")
@click.option("--name", default="mine", show_default=True, help="Name of the run's folder.")
@click.option(
    "--data",
    default="art",
    show_default=True,
    help='"art" (see limner data build), "more-art" (with the further artists), "shapes" (no '
    "download), or a folder of pictures.",
)
@click.option("--steps", type=click.IntRange(1), help="Steps in all, instead of the preset's.")
@click.option(
    "--minutes",
    type=click.FloatRange(0, min_open=True),
    help="Minutes for each stage; a trial determines how many steps fit (or --steps).",
)
@click.option(
    "--rate",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0, 10, min_open=True),
    help="Factor on the preset's learning rates; below 1 to fine-tune in a short run.",
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**31 - 1))
@click.option("--depth", type=click.IntRange(1, 32), help="Layers per stack; the width follows.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, …")
@click.option(
    "--precision",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "float32", "bfloat16"]),
)
@click.option("--threads", default=0, show_default=True, type=click.IntRange(0), help="0: all.")
@click.option(
    "--ray",
    "n_workers",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Share each step among N workers of a Ray cluster: LIMNER_RAY_ADDRESS, or this machine.",
)
@click.option("--home", type=click.Path(path_type=Path), help="Use this LIMNER_HOME.")
def train(
    stage: str,
    preset: str,
    name: str,
    data: str,
    steps: int | None,
    minutes: float | None,
    rate: float,
    seed: int,
    depth: int | None,
    device: str,
    precision: str,
    threads: int,
    n_workers: int | None,
    home: Path | None,
) -> None:
    """Train a STAGE, or all of them but the restorer in order, and print the run's folder.

    Repeat the command to continue an interrupted run from its last checkpoint.
    """
    torch, stages, presets, datasets = _training()
    _check_device(torch, device)
    if threads:
        torch.set_num_threads(threads)
    home = settings.load({"home": home}).home
    chosen = presets.preset(preset, depth)
    parts = _OF_ALL if stage == "all" else (stage,)
    _note_of_other_stages(stage)
    folder = run_folder(home, name)
    how: dict[str, Any] = {
        "steps": steps,
        "device": device,
        "precision": precision,
        "seed": seed,
        "rate": rate,
    }
    if n_workers is None or stage == "text-tokenizer":
        run = stages.Run(folder, chosen, datasets.open_set(data, home / "data", chosen.set), **how)
        _train_here(parts, run, minutes)
    elif minutes is not None:
        raise SettingsError(
            "--minutes and --ray cannot be used together", hint="give the number of --steps"
        )
    else:
        with _workers(n_workers, threads or 1) as on_ray:
            given = folder.absolute(), home.absolute() / "data", chosen, data
            order = on_ray.Order(*given, threads=threads or 1, **how)
            for part in parts:
                click.echo(f"training the {part} with {n_workers} workers", err=True)
                on_ray.train(part, order, n_workers)
    if "generator" in parts:
        click.echo(f"`limner export {name} -o FOLDER` writes weights that draw", err=True)
    click.echo(folder)


def _train_here(parts: Sequence[str], run: Any, minutes: float | None) -> None:
    """Train stages in this process, each for `minutes` or the run's steps."""
    from limner.training import stages

    for part in parts:
        click.echo(f"training the {part}", err=True)
        with _reporting() as report, _saying_goodbye():
            ends_at = None if minutes is None else time.monotonic() + 60 * minutes
            stages.STAGES[part](replace(run, ends_at=ends_at), report)


def _note_of_other_stages(stage: str) -> None:
    """Name the options without effect: scripts give the same ones to every stage."""
    if stage == "text-tokenizer":
        names = ("steps", "minutes", "rate", "seed", "depth", "device", "precision", "n_workers")
        unused_options.note(names, "on the text tokenizer")
    elif stage not in ("generator", "all"):
        unused_options.note(("depth",), f"on the {stage}; it is for the generator")


@click.command()
@click.argument("run")
@click.option(
    "--from", "source", default="nano", show_default=True, help="A shipped name or a folder."
)
@click.option("--stage", "parts", multiple=True, type=click.Choice(STAGES), help="Only this one.")
@click.option("--px", type=int, help="Side of the pictures that the transformer draws.")
@click.option("--layouts", is_flag=True, help="Draw things in boxes (preset nano-192).")
@click.option("--home", type=click.Path(path_type=Path), help="Use this LIMNER_HOME.")
def begin(
    run: str, source: str, parts: tuple[str, ...], px: int | None, layouts: bool, home: Path | None
) -> None:
    """Start RUN from trained weights, which `limner train` then continues.

    With all stages copied, `limner train generator --name RUN --data FOLDER` fine-tunes the shipped
    model on your pictures. Other stages are trained from scratch. A --px above that of the weights
    gives drawings more cells; train further for finer details.
    """
    if parts and "generator" not in parts:
        unused_options.refuse(("layouts",), "without the generator", "add --stage generator")
        if "image-tokenizer" not in parts:
            needed = "without the image tokenizer and the generator"
            unused_options.refuse(
                ("px",), needed, "add --stage image-tokenizer and --stage generator"
            )
    _training()
    from limner.storage.checkpoints import weights
    from limner.training.weights.init_from_weights import begin_run

    folder = run_folder(settings.load({"home": home}).home, run)
    click.echo(begin_run(weights.find(source), folder, parts, px, layouts))


@click.command()
@click.argument("run")
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path))
@click.option("--stage", "parts", multiple=True, type=click.Choice(STAGES), help="Only this one.")
@click.option("--home", type=click.Path(path_type=Path), help="Use this LIMNER_HOME.")
def pack(run: str, output: Path, parts: tuple[str, ...], home: Path | None) -> None:
    """Write RUN without optimizer state, a tenth of the size.

    In LIMNER_HOME/training of another machine it can be exported, and `limner train` continues from
    its weights with a new schedule.
    """
    _training()
    from limner.training.weights.pack import pack_run

    folder = run_folder(settings.load({"home": home}).home, run)
    click.echo(pack_run(folder, output, parts))


@click.command()
@click.argument("run")
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path))
@click.option("--name", help="Model name in picture files; the run's name by default.")
@click.option("--preset", help="Preset whose quality levels to use, instead of the run's.")
@click.option("--layouts", is_flag=True, help="Draw several things of a prompt in boxes.")
@click.option("--flat-art", is_flag=True, help="They draw flat art: crisp edges, SVG and GIF.")
@click.option(
    "--mix", metavar="WEIGHTS", help="Average with the weights that the run began from, e.g. nano."
)
@click.option(
    "--mix-share",
    default=0.5,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Share of those weights in the average.",
)
@click.option("--home", type=click.Path(path_type=Path), help="Use this LIMNER_HOME.")
def export(
    run: str,
    output: Path,
    name: str | None,
    preset: str | None,
    layouts: bool,
    flat_art: bool,
    mix: str | None,
    mix_share: float,
    home: Path | None,
) -> None:
    """Export RUN as a folder of weights for the engine.

    Draw with it by `LIMNER_WEIGHTS=FOLDER limner draw …`. A run that learned from a folder needs
    --layouts to draw several things of a prompt each in its box, as the weights that ship do, and
    --flat-art if the pictures of the folder are flat art. With --mix it forgets less of what it
    could draw before.
    """
    if mix is None:
        unused_options.refuse(("mix_share",), "without --mix", "add --mix nano")
    _, stages, presets, _ = _training()
    from limner import __version__
    from limner.engines.transformer.export.folder import export as write
    from limner.storage.checkpoints import weights
    from limner.training.weights import init_from_weights, mixing

    folder = run_folder(settings.load({"home": home}).home, run)
    bundle, tokenizer = stages.load_bundle(folder)
    about = {"name": name or run, "version": __version__, **stages.generation_config(folder)}
    if preset is not None:
        about["sampling"] = presets.preset(preset).sampling_table()
    if flat_art:
        about["art"] = "flat"
    if layouts and not bundle.config.transformer.layouts:
        bundle = init_from_weights.with_layouts(bundle)
    if mix is not None:
        bundle = mixing.mix(bundle, tokenizer, weights.find(mix), mix_share)
    planner = stages.load_planner(folder)
    click.echo("writing the networks as ONNX graphs: a minute or two", err=True)
    click.echo(write(bundle, tokenizer, output, about, planner).path)


def run_folder(home: Path, name: str) -> Path:
    """The folder of the run `name`. Raises SettingsError for an invalid name."""
    if not _RUN_NAME.fullmatch(name):
        raise SettingsError(
            f"{name!r} cannot be the name of a run",
            hint="use letters, digits, and . _ - after the first",
        )
    return home / "training" / name


def _training():  # type: ignore[no-untyped-def]
    """Import torch and the training modules. Raises MissingExtra."""
    with needed("Training", "limner[train]"):
        import torch

        from limner.training import datasets, presets, stages
    return torch, stages, presets, datasets


@contextmanager
def _workers(n: int, threads: int) -> Iterator[Any]:
    """The module that trains with workers, in a cluster that has room for `n` with `threads`."""
    from limner.engines.registry import imported

    names = ("limner.engines.ray.cluster", "limner.training.workers.on_ray")
    cluster, on_ray = (imported(name, "limner train --ray", "ray-train") for name in names)
    address = settings.load().ray_address
    with cluster.connected(address) if address else cluster.here(n * threads):
        yield on_ray


def _check_device(torch: Any, device: str) -> None:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # AssertionError if torch lacks CUDA
        reason = str(error).partition("\n")[0]
        raise SettingsError(
            f"Device {device!r} cannot be used: {reason}", hint="--device cpu works everywhere"
        ) from error


@contextmanager
def _saying_goodbye() -> Iterator[None]:
    """Print the state of an interrupted run, which the exit code does not tell."""
    try:
        yield
    except KeyboardInterrupt as stopped:
        if str(stopped):
            click.echo(str(stopped), err=True)
        raise


@contextmanager
def _reporting() -> Iterator[Callable[[int, int], None]]:
    """A progress bar until the first step; training then shows its own."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda done, total: None
        return
    progress = Progress(console=console, transient=True)
    task = progress.add_task("preparing", total=None)

    def report(done: int, total: int) -> None:
        progress.start()
        progress.update(task, completed=done, total=total)
        if done >= total:
            progress.stop()

    try:
        yield report
    finally:
        progress.stop()
