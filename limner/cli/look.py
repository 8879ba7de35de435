"""`limner look`: describe what a picture shows, and whether it matches a prompt."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from limner.cli.table import print_table
from limner.studio import look as look_at

if TYPE_CHECKING:
    from limner.recognition.look import Look


@click.command()
@click.argument("image")
@click.option("--asked", metavar="PROMPT", help="What the picture should show.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def look(image: str, asked: str | None, as_json: bool) -> None:
    """Describe what the picture IMAGE shows, as far as the bundled model can tell.

    The exit code is 0 even if the picture does not match PROMPT: see `good_enough` of --json.
    """
    found = look_at(image, asked)
    if as_json:
        click.echo(json.dumps(found.to_dict(), ensure_ascii=False))
    else:
        _print(found)


def _print(found: Look) -> None:
    rows = [["alt", found.alt], ["", found.alt_zh]]
    rows += [
        ["seen", f"{seen.label} ({seen.chinese}), margin {seen.margin:.2f}"] for seen in found.seen
    ]
    for check in found.checks:
        how = "sure" if check.sure else "not sure"
        rows.append([check.what, f"asked {check.asked!r}, seen {check.seen!r}, {how}"])
    if found.unknown_words:
        rows.append(["unknown", ", ".join(found.unknown_words)])
    if found.good_enough is not None:
        rows.append(["good enough", "yes" if found.good_enough else "no"])
    rows += [["try", tip.text] for tip in found.advice]
    print_table(rows)
