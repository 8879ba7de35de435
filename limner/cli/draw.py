"""`limner draw`: a prompt in, picture files out."""

from __future__ import annotations

import os
import time
from typing import Annotated

import typer

from limner import settings
from limner.cli import output, progress
from limner.engines.base import Picture
from limner.request import BACKGROUNDS, MAX_PICTURES, QUALITIES, SIZES, ImageRequest, Size
from limner.studio import Studio


def draw(
    prompt: Annotated[
        str, typer.Argument(metavar="PROMPT", help="What to draw.", show_default=False)
    ],
    n: Annotated[
        int, typer.Option("-n", metavar="N", help=f"How many pictures, 1 to {MAX_PICTURES}.")
    ] = 1,
    size: Annotated[
        str, typer.Option(metavar="WxH", help=f"{', '.join(map(str, SIZES))}.")
    ] = "1024x1024",
    quality: Annotated[
        str, typer.Option(metavar="|".join(QUALITIES), help="Higher takes longer.")
    ] = "medium",
    seed: Annotated[
        int | None,
        typer.Option(
            metavar="S", help="The same seed draws the same pictures.", show_default=False
        ),
    ] = None,
    background: Annotated[
        str, typer.Option(metavar="|".join(BACKGROUNDS), help="What is behind the subject.")
    ] = "auto",
    path: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="PATH",
            help="A .png, .jpg or .webp file, overwritten if it exists, or a folder.",
            show_default=False,
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="One of `limner models`.", show_default=False),
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Show it in the terminal too.")] = False,
) -> None:
    """Draw pictures of PROMPT and print the path of each."""
    started_s = time.monotonic()
    request = ImageRequest(
        prompt,
        n,
        Size.parse(size),
        quality,  # type: ignore[arg-type]  # ImageRequest checks it, and says what it takes
        seed,
        background,  # type: ignore[arg-type]
    ).with_seed()
    targets = output.plan(path, request)
    studio = Studio(settings.load({"engine": engine}))
    with progress.reporter() as report:
        for event in studio.draw(request):
            if isinstance(event, Picture):
                written = targets[event.index].write(event)
                with report.paused():
                    typer.echo(os.fsencode(written))
                    if show:
                        _show(event)
            else:
                report.event(event)
    seconds = time.monotonic() - started_s
    pictures = "1 picture" if n == 1 else f"{n} pictures"
    typer.echo(f"drew {pictures} in {seconds:.1f} s with seed {request.seed}", err=True)


def _show(picture: Picture) -> None:
    from limner.cli.preview import print_picture  # rich and numpy, for those who want to see it

    print_picture(picture.pixels)
