"""`limner settings`: each setting and where its value comes from."""

from __future__ import annotations

import click

from limner import settings as settings_module
from limner.cli.table import print_table


@click.command()
@click.option("--markdown", is_flag=True, help="Print the table of docs/settings.md instead.")
def settings(markdown: bool) -> None:
    """Show each setting and where it comes from."""
    if markdown:
        click.echo(markdown_table(), nl=False)
        return
    loaded = settings_module.load()
    print_table(
        [key, settings_module.shown(loaded, key), loaded.origins[key], about.metadata["help"]]
        for key, about in settings_module.fields().items()
    )
    for name in settings_module.unknown_variables():
        click.echo(f"note: {name} is set, but no setting has that name", err=True)


def markdown_table() -> str:
    """All settings as a Markdown table."""
    default = settings_module.Settings()
    lines = ["| setting | variable | default | takes | what for |", "|---|---|---|---|---|"]
    for key, about in settings_module.fields().items():
        is_empty = getattr(default, key) in ((), "")
        shown = "" if is_empty else settings_module.shown(default, key)
        kind = about.metadata["kind"]
        cells = [
            f"`{key}`",
            f"`{settings_module.variable(key)}`",
            f"`{shown}`" if shown else "empty",
            kind.form,
            about.metadata["help"],
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
