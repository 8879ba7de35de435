"""`limner draw`: a prompt in, picture files out."""

from __future__ import annotations

import os
import time

import click

from limner import settings
from limner.cli import progress
from limner.cli.output import plan
from limner.engines.base import Picture
from limner.request import BACKGROUNDS, MAX_PICTURES, QUALITIES, SIZES, ImageRequest, Size
from limner.studio import Studio


@click.command()
@click.argument("prompt")
@click.option(
    "-n", type=int, default=1, show_default=True, help=f"How many pictures, 1 to {MAX_PICTURES}."
)
@click.option(
    "--size",
    metavar="WxH",
    default=str(SIZES[-1]),
    show_default=True,
    help=f"One of {', '.join(map(str, SIZES))}.",
)
@click.option(
    "--quality",
    metavar="|".join(QUALITIES),
    default="medium",
    show_default=True,
    help="Higher takes longer.",
)
@click.option("--seed", type=int, help="The same seed draws the same pictures.  [default: random]")
@click.option(
    "--background",
    metavar="|".join(BACKGROUNDS),
    default="auto",
    show_default=True,
    help="What is behind the subject.",
)
@click.option(
    "-o",
    "--output",
    metavar="PATH",
    help="A .png, .jpg or .webp file, overwritten if it exists; or a folder.  "
    "[default: a new file here, named by the prompt]",
)
@click.option("--engine", metavar="NAME", help="One of those that `limner models` lists.")
@click.option("--show", is_flag=True, help="Show the pictures in the terminal too.")
def draw(
    prompt: str,
    n: int,
    size: str,
    quality: str,
    seed: int | None,
    background: str,
    output: str | None,
    engine: str | None,
    show: bool,
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
    targets = plan(output, request)
    studio = Studio(settings.load({"engine": engine}))
    with progress.reporter() as report:
        for event in studio.draw(request):
            if isinstance(event, Picture):
                written = targets[event.index].write(event)
                with report.paused():
                    click.echo(os.fsencode(written))
                    if show:
                        _show(event)
            else:
                report.event(event)
    seconds = time.monotonic() - started_s
    pictures = "1 picture" if n == 1 else f"{n} pictures"
    click.echo(f"drew {pictures} in {seconds:.1f} s with seed {request.seed}", err=True)


def _show(picture: Picture) -> None:
    from limner.cli.preview import print_picture  # rich and numpy, for those who want to see it

    print_picture(picture.pixels)
