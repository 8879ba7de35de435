"""`limner models`: what can draw here."""

from __future__ import annotations

import click

from limner import settings
from limner.cli.table import print_table
from limner.engines.registry import engines
from limner.errors import WeightsError


@click.command()
def models() -> None:
    """List engines and weights, and check the weights."""
    from limner.storage.checkpoints import weights  # numpy, which --help does not need

    loaded = settings.load()
    rows = [
        ["engine", _starred(info.name, loaded.engine), "", info.summary]
        for info in engines().values()
    ]
    damaged = None
    for name in weights.shipped():
        size, state = "", "undamaged"
        try:
            size = _megabytes(weights.read(weights.find(name)).n_bytes)
        except WeightsError as error:
            state, damaged = "damaged", error
        rows.append(["weights", _starred(name, loaded.weights), size, state])
    print_table(rows)
    if damaged:
        raise damaged


def _starred(name: str, chosen: str) -> str:
    """`name`, marked if it is the one that is used when none is named."""
    return f"{name} *" if name == chosen else name


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:.1f} MB"
