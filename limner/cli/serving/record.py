"""`limner record`: keep what image services answer while a command runs, and give it again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click


@click.command(context_settings={"allow_interspersed_args": False})
@click.option("--replay", is_flag=True, help="Give the answers in FOLDER; no service is asked.")
@click.argument("folder")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_context
def record(context: click.Context, replay: bool, folder: str, command: tuple[str, ...]) -> Any:
    """Run COMMAND and keep in FOLDER what image services answer to it.

    COMMAND is one of limner, such as `draw "a red fox" --engine upstream` or `serve`. The same
    requests get the same answers with --replay, without a network: for tests of your own program.
    """
    name = f"LIMNER_UPSTREAM_{'REPLAY' if replay else 'RECORD'}"
    before = os.environ.get(name)
    os.environ[name] = str(Path(folder).absolute())
    try:
        root = context.find_root().command
        return root.main(list(command), prog_name="limner", standalone_mode=False)
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
