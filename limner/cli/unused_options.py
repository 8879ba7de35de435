"""Options that were given and have no effect: refused, or said on stderr; never ignored."""

from __future__ import annotations

from collections.abc import Container, Iterator

import click
from click.core import ParameterSource

from limner.errors import InvalidRequest


def refuse(names: Container[str], where: str, hint: str = "") -> None:
    """Raise InvalidRequest if the running command was given an option of `names`.

    `names` are parameters of the command's function; `where` says where they have no effect, such
    as "in PNG files". The hint is to leave the option out, or `hint`.
    """
    for name, flag in _given(names):
        way_out = f", or {hint}" if hint else ""
        raise InvalidRequest(
            f"{flag} has no effect {where}", param=name, hint=f"leave out {flag}{way_out}"
        )


def note(names: Container[str], where: str) -> None:
    """Say on stderr which options of `names` have no effect, where a script may well give them."""
    for _, flag in _given(names):
        click.echo(f"note: {flag} has no effect {where}", err=True)


def _given(names: Container[str]) -> Iterator[tuple[str, str]]:
    """Names and flags of the options of `names` on the command line."""
    context = click.get_current_context()
    for parameter in context.command.params:
        name = parameter.name or ""
        if name in names and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            yield name, max(parameter.opts, key=len)
