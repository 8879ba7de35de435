"""`limner settings`: what is set, and by whom."""

from __future__ import annotations

import click

from limner import settings as settings_module
from limner.cli.table import print_table


@click.command()
def settings() -> None:
    """Show each setting and where it comes from."""
    loaded = settings_module.load()
    print_table(
        [key, settings_module.shown(loaded, key), loaded.origins[key], about.metadata["help"]]
        for key, about in settings_module.fields().items()
    )
    for name in settings_module.unknown_variables():
        click.echo(f"note: {name} is set, but no setting has that name", err=True)
