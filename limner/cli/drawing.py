"""What `limner draw`, `limner edit` and `limner vary` have in common: options, and the drawing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from limner import settings
from limner.cli import progress
from limner.cli.output import plan, slug
from limner.engines.base import Picture
from limner.engines.drawing_formats import check_format
from limner.errors import InvalidRequest
from limner.request import (
    BACKGROUNDS,
    COMPLEXITIES,
    DEFAULT_OPTIONS,
    FILE_FORMATS,
    MAX_BEST_OF,
    MAX_FRAMES,
    MAX_PICTURES,
    MIN_FRAMES,
    QUALITIES,
    SIDE_STEP,
    SIZES,
    FileFormat,
    FileOptions,
    ImageRequest,
)
from limner.studio import Studio

_SIZE_HELP = f"{', '.join(map(str, SIZES))}, 1536x1024, or other multiples of {SIDE_STEP}."


def options(size: str) -> Callable[[Any], Any]:
    """The options of a command that draws; `size` says which one is taken by default."""
    found = [
        click.option(
            "-n",
            type=int,
            default=1,
            show_default=True,
            help=f"How many pictures, 1 to {MAX_PICTURES}.",
        ),
        click.option("--size", metavar="WxH", help=f"{_SIZE_HELP}  [default: {size}]"),
        click.option(
            "--quality",
            metavar="|".join(QUALITIES),
            default="medium",
            show_default=True,
            help="Higher takes longer.",
        ),
        click.option(
            "--seed",
            type=int,
            help="The same seed draws the same pictures.  [default: random]",
        ),
        click.option(
            "--best-of",
            type=int,
            help=f"Draw so many for each picture, 1 to {MAX_BEST_OF}, and keep the one that the "
            "model scores best.  [default: by quality]",
        ),
        click.option(
            "--retry-below",
            type=float,
            metavar="SCORE",
            help="Draw a picture once more if its score, -1 to 1, is below this, and keep the "
            "better one.",
        ),
        click.option(
            "--background",
            metavar="|".join(BACKGROUNDS),
            default="auto",
            show_default=True,
            help="What is behind the subject.",
        ),
        click.option(
            "-o",
            "--output",
            metavar="PATH",
            help="A .png, .jpg, .webp, .gif or .svg file, overwritten if it exists; a folder; or "
            "- for the standard output.  [default: a new file here, with a name that tells what "
            "it is]",
        ),
        click.option(
            "--format",
            type=click.Choice(FILE_FORMATS),
            help="Of files that you do not name.  [default: png]",
        ),
        click.option(
            "--complexity",
            type=click.Choice(COMPLEXITIES),
            default=DEFAULT_OPTIONS.complexity,
            show_default=True,
            help="Of SVG: at most 8 colours and 40 paths, 16 and 150, or 32 and 400.",
        ),
        click.option(
            "--frames",
            type=int,
            default=DEFAULT_OPTIONS.frame_count,
            show_default=True,
            help=f"How many frames a GIF has, {MIN_FRAMES} to {MAX_FRAMES}.",
        ),
        click.option(
            "--frame-duration",
            type=int,
            metavar="MS",
            default=DEFAULT_OPTIONS.frame_duration_ms,
            show_default=True,
            help="How long each frame of a GIF is shown, in milliseconds.",
        ),
        click.option("--engine", metavar="NAME", help="One of those that `limner models` lists."),
        click.option("--show", is_flag=True, help="Show the pictures in the terminal too."),
    ]

    def decorate(command: Any) -> Any:
        for option in reversed(found):
            command = option(command)
        return command

    return decorate


@dataclass(frozen=True)
class Output:
    """Where pictures go, as what, and what draws them."""

    output: str | None
    format: FileFormat | None
    files: FileOptions
    engine: str | None
    show: bool

    @classmethod
    def taken(cls, values: dict[str, Any]) -> Output:
        """The options of `options` that are no fields of ImageRequest, taken out of `values`."""
        files = FileOptions(
            complexity=values.pop("complexity"),
            frame_count=values.pop("frames"),
            frame_duration_ms=values.pop("frame_duration"),
        )
        names = ("output", "format", "engine", "show")
        return cls(files=files, **{name: values.pop(name) for name in names})


def run(request: ImageRequest, output: Output, name: str | None = None) -> None:
    """Draw `request` and print the path of each picture; `name` is for files without another."""
    started_s = time.monotonic()
    request = request.with_seed()
    targets = plan(output.output, request, name or slug(request.prompt), output.format)
    if output.show and targets[0].is_stdout:
        raise InvalidRequest(
            "The picture and what --show prints would both go to the standard output",
            param="show",
            hint="leave out --show, or name a file",
        )
    studio = Studio(settings.load({"engine": output.engine}))
    check_format(studio.engine(), request, targets[0].format)
    with progress.reporter() as report:
        for event in studio.draw(request):
            if isinstance(event, Picture):
                written = targets[event.index].write(event, output.files)
                with report.paused():
                    if written:
                        click.echo(os.fsencode(written))
                    if output.show:
                        _show(event)
            else:
                report.event(event)
    seconds = time.monotonic() - started_s
    pictures = "1 picture" if request.n == 1 else f"{request.n} pictures"
    click.echo(f"drew {pictures} in {seconds:.1f} s with seed {request.seed}", err=True)


def _show(picture: Picture) -> None:
    from limner.cli.preview import print_picture  # rich and numpy, for those who want to see it

    print_picture(picture.pixels)
