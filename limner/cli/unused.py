"""Refusing options that would have no effect, instead of ignoring them."""

from __future__ import annotations

from collections.abc import Iterable

import click
from click.core import ParameterSource

from limner.errors import InvalidRequest


def refuse(names: Iterable[str], where: str, hint: str = "") -> None:
    """Raise InvalidRequest if the running command was given an option of `names`.

    `names` are parameters of the command's function; `where` says where they have no effect, such
    as "in a PNG file". The hint is to leave the option out, or `hint`.
    """
    context = click.get_current_context()
    for parameter in context.command.params:
        name = parameter.name or ""
        if name in names and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            flag = max(parameter.opts, key=len)
            way_out = f", or {hint}" if hint else ""
            raise InvalidRequest(
                f"{flag} has no effect {where}", param=name, hint=f"leave out {flag}{way_out}"
            )
