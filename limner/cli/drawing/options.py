"""Shared parts of `limner draw`, `limner edit` and `limner vary`: options and drawing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import click

from limner import settings
from limner.cli import unused_options
from limner.cli.drawing import progress
from limner.cli.drawing.output import plan, slug
from limner.engines.base import Picture
from limner.engines.drawing_formats import check_format
from limner.errors import InvalidRequest
from limner.options import OptionSpec
from limner.request import (
    COMPLEXITIES,
    DEFAULT_OPTIONS,
    DRAW_OPTIONS,
    FILE_FORMATS,
    MAX_FRAMES,
    MIN_FRAMES,
    SIDE_STEP,
    SIZES,
    FileFormat,
    FileOptions,
    ImageRequest,
    Size,
)
from limner.studio import Studio

_SIZE_HELP = f"{', '.join(map(str, SIZES))}, 1536x1024, or other multiples of {SIDE_STEP}."
_METAVARS = {"retry_below": "SCORE"}


def options(size: str) -> Callable[[Any], Any]:
    """Decorator with the options of a drawing command; `size` describes the default size."""
    found = [
        *(_option(spec) for spec in DRAW_OPTIONS.values()),
        click.option("--size", metavar="WxH", help=f"{_SIZE_HELP}  [default: {size}]"),
        click.option(
            "--option",
            "engine_options",
            multiple=True,
            metavar="NAME=VALUE",
            help="An option of the engine; may be repeated. `limner models NAME` lists an engine's "
            "options.",
        ),
        click.option(
            "-o",
            "--output",
            metavar="PATH",
            help="A .png, .jpg, .webp, .gif or .svg file, overwritten if it exists; a folder; or "
            "- for the standard output.  [default: a new file in the current folder, named after "
            "the prompt]",
        ),
        click.option(
            "--format",
            type=click.Choice(FILE_FORMATS),
            help="Format of files without a given name.  [default: png]",
        ),
        click.option(
            "--complexity",
            type=click.Choice(COMPLEXITIES),
            default=DEFAULT_OPTIONS.complexity,
            show_default=True,
            help="For SVG: at most 8 colours and 40 paths, 16 and 150, or 32 and 400.",
        ),
        click.option(
            "--frames",
            type=int,
            default=DEFAULT_OPTIONS.frame_count,
            show_default=True,
            help=f"Number of frames of a GIF, {MIN_FRAMES} to {MAX_FRAMES}.",
        ),
        click.option(
            "--frame-duration",
            type=int,
            metavar="MS",
            default=DEFAULT_OPTIONS.frame_duration_ms,
            show_default=True,
            help="Duration of each frame of a GIF in milliseconds.",
        ),
        click.option("--engine", metavar="NAME", help="An engine listed by `limner models`."),
        click.option("--show", is_flag=True, help="Show the pictures in the terminal too."),
    ]

    def decorate(command: Any) -> Any:
        for option in reversed(found):
            command = option(command)
        return command

    return decorate


def _option(spec: OptionSpec) -> Callable[[Any], Any]:
    """The command-line option for a field of ImageRequest, which checks the value."""
    flag = f"-{spec.name}" if len(spec.name) == 1 else f"--{spec.name.replace('_', '-')}"
    limits = f" {spec.low:g} to {spec.high:g}." if spec.name in ("n", "best_of") else ""
    unset = f"  [default: {spec.unset}]" if spec.unset else ""
    if spec.kind == "flag":
        return click.option(flag, spec.name, is_flag=True, help=spec.description)
    return click.option(
        flag,
        spec.name,
        type={"integer": int, "number": float}.get(spec.kind, str),
        metavar="|".join(spec.choices) or _METAVARS.get(spec.name),
        default=spec.default,
        show_default=spec.default is not None,
        help=spec.description + limits + unset,
    )


def given_options(pairs: tuple[str, ...], flag: str = "option") -> dict[str, str]:
    """Split values NAME=VALUE of `flag` into names and texts; of equal names the last is used."""
    given = {}
    for pair in pairs:
        name, sign, text = pair.partition("=")
        if not sign:
            raise InvalidRequest(
                f"--{flag} {pair!r} has no value",
                param=flag,
                hint=f"write it as --{flag} {pair}=VALUE",
            )
        given[name.strip().replace("-", "_")] = text
    return given


@dataclass(frozen=True)
class Output:
    """The target, the format and the engine of the pictures."""

    output: str | None
    format: FileFormat | None
    files: FileOptions
    engine: str | None
    engine_options: tuple[str, ...]
    show: bool

    @classmethod
    def taken(cls, values: dict[str, Any]) -> Output:
        """Remove the options that are not fields of ImageRequest from `values`, as an Output."""
        files = FileOptions(
            complexity=values.pop("complexity"),
            frame_count=values.pop("frames"),
            frame_duration_ms=values.pop("frame_duration"),
        )
        names = ("output", "format", "engine", "engine_options", "show")
        return cls(files=files, **{name: values.pop(name) for name in names})


def run(request: ImageRequest, size: str | None, output: Output, name: str | None = None) -> None:
    """Draw `request` and print the path of each picture; `name` is the default file name.

    `size` is the size given by the user; without it, the engine's default replaces the request's.
    """
    started_s = time.monotonic()
    request = replace(request, size=Size.parse(size)) if size else request
    request = request.with_seed()
    targets = plan(output.output, request, name or slug(request.prompt), output.format)
    _refuse_of_other_formats(targets[0].format)
    if output.show and targets[0].is_stdout:
        raise InvalidRequest(
            "The picture and the preview of --show would both go to the standard output",
            param="show",
            hint="leave out --show, or name a file",
        )
    studio = Studio(settings.load({"engine": output.engine}))
    with closing(studio), progress.reporter() as report:
        request = request if size else studio.sized(request)
        if output.engine_options:
            loaded = studio.engine()
            given = given_options(output.engine_options)
            options = loaded.capabilities.read_options(given, loaded.name)
            request = replace(request, options=options)
        check_format(studio.engine(), request, targets[0].format)
        for event in studio.draw(request):
            if isinstance(event, Picture):
                written = targets[event.index].write(event, output.files)
                with report.paused():
                    if written:
                        click.echo(os.fsencode(written))
                    if event.revised_prompt:
                        click.echo(f"drawn from: {event.revised_prompt}", err=True)
                    if output.show:
                        _show(event)
            else:
                report.event(event)
    seconds = time.monotonic() - started_s
    pictures = "1 picture" if request.n == 1 else f"{request.n} pictures"
    click.echo(f"drew {pictures} in {seconds:.1f} s with seed {request.seed}", err=True)


def _refuse_of_other_formats(format: FileFormat) -> None:
    """Refuse options of one file format where another is written."""
    of_format = {"gif": ("frames", "frame_duration"), "svg": ("complexity",)}
    for other, names in of_format.items():
        if format != other:
            where = f"in {format.upper()} files; it is for {other.upper()}"
            unused_options.refuse(names, where, f"add --format {other}, or name a .{other} file")


def _show(picture: Picture) -> None:
    from limner.cli.drawing.preview import print_picture  # rich and numpy; only needed for --show

    print_picture(picture.pixels)
