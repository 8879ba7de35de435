"""`limner models`: the engines and weights of this installation."""

from __future__ import annotations

from contextlib import closing
from dataclasses import fields

import click

from limner import settings
from limner.cli.table import print_table
from limner.engines.registry import engines
from limner.errors import WeightsError
from limner.options import OptionSpec
from limner.studio import Studio


@click.command()
@click.argument("engine", required=False)
def models(engine: str | None) -> None:
    """List engines and weights, and check the weights; or show what ENGINE can do."""
    if engine is not None:
        _show(engine)
        return
    from limner.storage.checkpoints import weights  # numpy; not needed for --help

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


def _show(name: str) -> None:
    """Print the abilities and options of engine `name`, which is loaded."""
    with closing(Studio(settings.load({"engine": name}))) as studio:
        able = studio.engine().capabilities
    told = {"sizes": str(able.sizes)} | {
        field.name: str(getattr(able, field.name)).lower()
        for field in fields(able)
        if field.name not in ("sizes", "options")
    }
    print_table([text.replace("_", " "), value] for text, value in told.items())
    if able.options:
        click.echo()
        print_table(_option_row(spec) for spec in able.options)


def _option_row(spec: OptionSpec) -> list[str]:
    values = "|".join(spec.choices) or spec.kind
    if spec.low is not None and spec.high is not None:
        values = f"{spec.low:g} to {spec.high:g}"
    default = spec.unset or "" if spec.default is None else f"default {spec.default}"
    return ["option", spec.name, values, default, spec.description]


def _starred(name: str, chosen: str) -> str:
    """`name`, marked if it is the default."""
    return f"{name} *" if name == chosen else name


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:.1f} MB"
