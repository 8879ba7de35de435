"""`limner trace`: convert a flat picture to an SVG file."""

from __future__ import annotations

import os
import time
from pathlib import Path

import click

from limner import settings
from limner.cli.drawing.output import STDOUT, OutputFile, stdout
from limner.errors import OutputError
from limner.request import COMPLEXITIES, Complexity
from limner.storage import files


@click.command()
@click.argument("image")
@click.option(
    "-o",
    "--output",
    metavar="PATH",
    help="An .svg file, overwritten if it exists; or - for the standard output.  [default: a new "
    "file here, named as IMAGE]",
)
@click.option(
    "--complexity",
    type=click.Choice(COMPLEXITIES),
    default="medium",
    show_default=True,
    help="Most colours and paths: 8 and 40, 16 and 150, or 32 and 400.",
)
def trace(image: str, output: str | None, complexity: Complexity) -> None:
    """Trace the flat picture IMAGE as paths and gradients in an SVG file, and print its path.

    Meant for drawings, icons and logos. Photographs lose most detail.
    """
    started_s = time.monotonic()
    target = _target(image, output)
    from limner.finish.vector import svg
    from limner.imaging import decode_upload
    from limner.imaging.provenance.check import label_of_file
    from limner.imaging.provenance.label_policy import policy_of

    found = svg.traced(decode_upload.read_file(image).pixels, complexity, title=Path(image).stem)
    # Keep limner's label.
    label = label_of_file(image, policy_of(settings.load()))
    written = target.put(label.attach(found.data) if label else found.data)
    if written:
        click.echo(os.fsencode(written))
    if found.lost > svg.MUCH_LOST:
        click.echo(
            f"notice: {found.lost:.0%} of the picture is finer than areas of even colour, as in a "
            "photograph; that is lost",
            err=True,
        )
    seconds = time.monotonic() - started_s
    click.echo(
        f"traced {found.n_paths} paths, {len(found.data):,} bytes, in {seconds:.1f} s", err=True
    )


def _target(image: str, output: str | None) -> OutputFile:
    if output == STDOUT:
        return stdout("svg")
    path = Path(output) if output else Path(f"{Path(image).stem}.svg")
    if files.format_from_path(path) != "svg":
        raise OutputError(f"{path} cannot hold an SVG document", hint="name an .svg file")
    files.check_writable(path)
    return OutputFile(path, "svg", named=output is not None)
