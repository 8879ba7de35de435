"""`limner history`: what the server has drawn, and its deletion."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import click

from limner import settings as settings_module
from limner.cli.table import print_table
from limner.errors import InvalidRequest

if TYPE_CHECKING:
    from limner.storage.db.history import History

_PROMPT_CHARS = 60


@click.group()
def history() -> None:
    """Look at what the server has drawn, or delete it."""


@history.command("list")
@click.option("--limit", default=20, show_default=True, help="How many, the latest first.")
@click.option("--after", metavar="ID", help="Only those before this one.")
@click.option("--key", metavar="NAME", help="Only those of this key.")
def list_(limit: int, after: str | None, key: str | None) -> None:
    """List requests, the latest first."""
    rows = _open().page(limit, after, key)
    table = [["ID", "WHEN", "KEY", "STATE", "PICTURES", "PROMPT"]]
    for row in rows:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row["created_s"]))
        prompt = " ".join(row["prompt"].split())
        if len(prompt) > _PROMPT_CHARS:
            prompt = f"{prompt[: _PROMPT_CHARS - 1]}…"
        n = f"{len(row['pictures'])}"
        table.append([row["id"], when, row["key_name"] or "-", row["state"], n, prompt])
    print_table(table)


@history.command()
@click.argument("id")
def show(id: str) -> None:
    """Show one request as JSON, with the files of its pictures."""
    from limner.storage.db.history import FOLDER

    kept = _open()
    row = kept.find(id)
    if row is None:
        raise _unknown(id)
    for picture in row["pictures"]:
        del picture["request_id"]
        picture["file"] = kept.store.where(f"{FOLDER}/{picture['file']}")
    click.echo(json.dumps(row, indent=2, ensure_ascii=False))


@history.command()
@click.argument("ids", metavar="ID…", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Everything that is not being drawn.")
def delete(ids: tuple[str, ...], everything: bool) -> None:
    """Delete requests, their prompts and the files of their pictures."""
    if bool(ids) == everything:
        raise InvalidRequest("Say which requests to delete: their ids, or --all")
    kept = _open()
    n_deleted = 0
    if everything:
        while rows := [row["id"] for row in kept.page(100) if row["state"] != "running"]:
            n_deleted += kept.delete(rows)
    for id in ids:
        if kept.find(id) is None:
            raise _unknown(id)
        if not kept.delete([id]):
            raise InvalidRequest(
                f"Request {id} is being drawn",
                hint="delete it when it has ended; after a crash, the next start of the server "
                "ends it, or another server within minutes",
            )
        n_deleted += 1
    click.echo(f"{n_deleted} deleted", err=True)


def _open() -> History:
    from limner.storage.blobs.store import open_store
    from limner.storage.db.database import Database
    from limner.storage.db.history import History

    loaded = settings_module.load()
    database = Database(loaded.database, loaded.home)
    return History(database, open_store(loaded), loaded.home)


def _unknown(id: str) -> InvalidRequest:
    return InvalidRequest(
        f"There is no request {id} in the history", hint="limner history list shows them"
    )
