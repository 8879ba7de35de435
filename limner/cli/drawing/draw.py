"""`limner draw`, `limner edit` and `limner vary`: from prompts and pictures to picture files."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from limner.cli.drawing import options
from limner.cli.drawing.options import Output
from limner.cli.drawing.output import slug
from limner.errors import InvalidRequest
from limner.request import (
    SIZES,
    ImageRequest,
)
from limner.studio import edit_of, variation_of

_SIZE = str(SIZES[-1])


@click.command()
@click.argument("prompt")
@click.argument("rest", nargs=-1, metavar="")
@options.options(size=_SIZE)
def draw(
    prompt: str,
    rest: tuple[str, ...],
    size: str | None,
    **how: Any,  # the other options; ImageRequest checks its fields
) -> None:
    """Draw pictures of PROMPT and print the path of each."""
    if rest:
        raise InvalidRequest(
            "The prompt has several words and no quotes",
            param="prompt",
            hint=f"limner draw {shlex.quote(' '.join([prompt, *rest]))}",
        )
    output = Output.taken(how)
    options.run(ImageRequest(prompt, **how), size, output)


@click.command()
@click.argument("image")
@click.argument("prompt")
@click.option(
    "--mask",
    metavar="PATH",
    help="A picture of the same size, fully transparent where to draw; the rest is kept.  "
    "[default: where IMAGE is fully transparent, else everywhere]",
)
@click.option(
    "--where",
    metavar="WORDS",
    help="Instead of a mask: the thing in IMAGE to draw anew, such as 'the apple'.",
)
@options.options(size="that of IMAGE")
def edit(
    image: str,
    prompt: str,
    mask: str | None,
    where: str | None,
    size: str | None,
    **how: Any,
) -> None:
    """Change the picture IMAGE by PROMPT and print the path of each result.

    Without a mask, a ground that PROMPT names is painted ("on a meadow"); other prompts are drawn
    where IMAGE is transparent. An opaque IMAGE is drawn anew.
    """
    source = edit_of(image, mask, where)
    output = Output.taken(how)
    options.run(ImageRequest(prompt, source=source, **how), size, output)


@click.command()
@click.argument("image")
@options.options(size=_SIZE)
def vary(image: str, size: str | None, **how: Any) -> None:
    """Draw pictures like IMAGE, without a prompt, and print the path of each."""
    source = variation_of(image)
    output = Output.taken(how)
    request = ImageRequest("", source=source, **how)
    options.run(request, size, output, name=f"{slug(Path(image).stem)}-variation")
