"""The command `limner`: one file a group of commands, put together here.

Paths and tables go to stdout, everything else to stderr. A failure is `error: …`, an empty line
and `hint: …`, with the exit code of its class in `limner.errors`; Ctrl-C gives 130.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from limner import __version__
from limner.cli.draw import draw
from limner.cli.models import models
from limner.cli.settings import settings
from limner.errors import LimnerError

# Typer carries its own click and shows only BadParameter of it; the base of that is what every
# wrong command line raises.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]

INTERRUPTED = 130  # 128 + SIGINT, as shells count

app = typer.Typer(
    name="limner",
    help="Draw pictures from text on your own machine.",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: it starts faster, and reads the same in a file
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"limner {__version__}")
        raise typer.Exit


@app.callback()
def _limner(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Draw pictures from text on your own machine."""


app.command()(draw)
app.command()(models)
app.command()(settings)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line `arguments`, by default the process's own; returns the exit code."""
    command = typer.main.get_command(app)
    try:
        code = command.main(arguments, prog_name="limner", standalone_mode=False)
    except LimnerError as error:
        _report(error)
        return error.exit_code
    except _UsageError as error:
        return _report_usage(error)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    return code if isinstance(code, int) else 0


def _report(error: LimnerError) -> None:
    typer.echo(f"error: {error}", err=True)


def _report_usage(error: BaseException) -> int:
    """Report what the parser of the command line refused, in the words of `_report`."""
    context = getattr(error, "ctx", None)
    message = getattr(error, "format_message", lambda: str(error))().rstrip(".")
    where = context.command_path if context else "limner"
    _report(LimnerError(message, hint=f"{where} --help shows what it takes"))
    return getattr(error, "exit_code", 2)
