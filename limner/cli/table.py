"""Columns of plain text, for people and for `awk`."""

from __future__ import annotations

from collections.abc import Iterable

import click


def print_table(rows: Iterable[list[str]]) -> None:
    """Print `rows` of equal length to stdout, each column as wide as its widest cell."""
    cells = list(rows)
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo(line.rstrip())
