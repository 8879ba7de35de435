"""`limner check`: the provenance data in a picture file, and whether they are intact."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from limner.imaging.provenance.check import Provenance

_LABELS = {
    "holds": "limner's; it matches this picture, and neither was changed",
    "broken": "limner's, and broken",
    "foreign": "another program's",
    "absent": "none",
}
_BROKEN = 1  # exit code


@click.command()
@click.argument("files", metavar="FILE…", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each file.")
@click.pass_context
def check(context: click.Context, files: tuple[str, ...], as_json: bool) -> None:
    """Show label, parameters and signature of picture files, and whether they are intact.

    Reads PNG, JPEG, WebP, GIF and SVG. The exit code is 1 if a label is broken or a signature
    invalid. A label that holds is no proof, as anybody can write one; a missing label does not mean
    that no AI was used.
    """
    from limner.imaging.provenance.check import check_file  # slow to import; not needed for --help

    is_broken = False
    for file in files:
        report = check_file(file)
        is_broken |= report.label == "broken" or report.c2pa.state == "invalid"
        if as_json:
            click.echo(json.dumps({"file": file} | report.as_json()))
        else:
            click.echo(f"{_shown(file)}: {report.format.upper()}, {_drawn_by(report)}")
            for name, value in _lines(report):
                click.echo(f"  {name:<11}{value}")
    if is_broken:
        context.exit(_BROKEN)


def _drawn_by(report: Provenance) -> str:
    if report.is_ai is None:
        return "says nothing of its making"
    source = (report.source_type or report.c2pa.source_type).rpartition("/")[2] or "AIGC label"
    return f"{'by AI' if report.is_ai else 'not by AI'} ({_shown(source)})"


def _lines(report: Provenance) -> list[tuple[str, str]]:
    lines = [("label", _LABELS[report.label])]
    lines += [("", problem) for problem in report.problems]
    for name, said in (("software", report.software), ("producer", report.producer)):
        if said:
            lines.append((name, _shown(said)))
    if report.aigc:
        lines.append(("AIGC", _pairs({name: text for name, text in report.aigc.items() if text})))
    if report.parameters:
        lines.append(("parameters", _pairs(report.parameters)))
    signed_by = f", signed by {_shown(report.c2pa.signed_by)}" if report.c2pa.signed_by else ""
    lines.append(("C2PA", report.c2pa.state + signed_by))
    return lines + [("", problem) for problem in map(_shown, report.c2pa.problems)]


def _pairs(values: Any) -> str:
    return ", ".join(f"{_shown(name)} {_shown(value)}" for name, value in values.items())


def _shown(value: object) -> str:
    """A value of an untrusted file on one line, without characters that a terminal interprets."""
    text = value if isinstance(value, str) else json.dumps(value)
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)
