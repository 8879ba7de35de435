"""The command `limner`: one file for each group of commands, assembled here.

Paths and tables go to stdout, everything else to stderr. A failure is `error: …`, an empty line
and `hint: …`, with the exit code of its class in `limner.errors`; Ctrl-C gives 130.

Uses click: typer 0.29 makes shorter code, but it loads pydantic before every command, which doubles
the start-up time.
"""

from __future__ import annotations

from collections.abc import Sequence

import click

from limner import __version__
from limner.cli.check import check
from limner.cli.doctor import doctor
from limner.cli.drawing.draw import draw, edit, vary
from limner.cli.drawing.sheet import sheet
from limner.cli.drawing.trace import trace
from limner.cli.look import look
from limner.cli.models import models
from limner.cli.serving.history import history
from limner.cli.serving.keys import keys
from limner.cli.serving.mcp import mcp
from limner.cli.serving.ray import ray
from limner.cli.serving.record import record
from limner.cli.serving.serve import serve
from limner.cli.settings import settings
from limner.cli.training.data import data
from limner.cli.training.evaluate import evaluate
from limner.cli.training.train import (
    begin,
    export,
    pack,
    train,
)
from limner.errors import LimnerError

INTERRUPTED = 130  # 128 + SIGINT, as shells count


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="limner %(version)s")
def app() -> None:
    """Draw pictures from text on your own machine."""


app.add_command(begin)
app.add_command(check)
app.add_command(data)
app.add_command(doctor)
app.add_command(draw)
app.add_command(edit)
app.add_command(evaluate)
app.add_command(export)
app.add_command(history)
app.add_command(keys)
app.add_command(look)
app.add_command(mcp)
app.add_command(models)
app.add_command(pack)
app.add_command(ray)
app.add_command(record)
app.add_command(serve)
app.add_command(settings)
app.add_command(sheet)
app.add_command(trace)
app.add_command(train)
app.add_command(vary)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line `arguments`, by default the process's own; returns the exit code."""
    try:
        code = app.main(arguments, prog_name="limner", standalone_mode=False)
    except LimnerError as error:
        _report(error)
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        _report(_usage_error(error))
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    return code if isinstance(code, int) else 0


def _report(error: LimnerError) -> None:
    click.echo(f"error: {error}", err=True)


def _usage_error(error: click.ClickException) -> LimnerError:
    """Convert an error of click to the form of all other errors."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    command = context.command_path if context else "limner"
    return LimnerError(
        error.format_message().rstrip("."), hint=f"{command} --help shows what it takes"
    )
