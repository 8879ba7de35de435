"""`limner history`: list, delete and recover the requests of the server."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import click

from limner import settings as settings_module
from limner.cli.table import print_table
from limner.errors import InvalidRequest

if TYPE_CHECKING:
    from limner.storage.history.history import History

_PROMPT_CHARS = 60
_YOUNG_S = 3600.0  # longer than a server takes from storing a file to its row


@click.group()
def history() -> None:
    """List, delete or recover the requests of the server."""


@history.command("list")
@click.option("--limit", default=20, show_default=True, help="How many, latest first.")
@click.option("--after", metavar="ID", help="Only requests before this one.")
@click.option("--key", metavar="NAME", help="Only requests of this key.")
def list_(limit: int, after: str | None, key: str | None) -> None:
    """List requests, latest first."""
    rows = _open().page(limit, after, key)
    table = [["ID", "WHEN", "KEY", "STATE", "PICTURES", "PROMPT"]]
    for row in rows:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row["created_s"]))
        n, prompt = f"{len(row['pictures'])}", _shortened(row["prompt"])
        table.append([row["id"], when, row["key_name"] or "-", row["state"], n, prompt])
    print_table(table)


@history.command()
@click.argument("id")
def show(id: str) -> None:
    """Show one request as JSON, with the files of its pictures."""
    from limner.storage.history.history import FOLDER

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


@history.command()
def recover() -> None:
    """Restore rows for limner's pictures that have none, from the data in their files.

    For a lost database, or a store that belonged to another one. It deletes nothing, and can be
    repeated. A file is added to its request if the database has that. The key of the other requests
    is unknown: only a key with the scope admin sees them.
    """
    from limner.service.recovery.rebuild_rows import Recovery
    from limner.storage.blobs.names import Names
    from limner.storage.db.keys import signing_key
    from limner.storage.history.history import FOLDER
    from limner.storage.history.maintenance import is_served

    kept = _open(recovering=True)
    recovery = Recovery(kept, Names(signing_key(kept.database)))
    entries = sorted(kept.store.list(FOLDER), key=lambda entry: (entry.changed_s, entry.file))
    unknown = set(kept.unknown([entry.file for entry in entries]))
    # A running server may be about to write the row of a file that it has just stored.
    end_s = kept.clock() - _YOUNG_S if is_served(kept) else float("inf")
    n_adopted = n_skipped = 0
    for entry in entries:
        if entry.file not in unknown:
            continue
        if entry.changed_s > end_s:
            id, text = None, "a running server may be about to write its row; try again in an hour"
        else:
            [outcome] = recovery.adopt([entry.file])
            id, text = outcome.id, _shortened(outcome.text) if outcome.id else outcome.text
        n_adopted += bool(id)
        n_skipped += not id
        click.echo(f"{f'adopted as {id}' if id else 'skipped'}  {entry.file}  {text}")
    n_known = len(entries) - len(unknown)
    click.echo(f"{n_adopted} adopted, {n_skipped} skipped, {n_known} known before", err=True)


def _open(*, recovering: bool = False) -> History:
    from limner.storage.blobs.opening import open_store
    from limner.storage.db import store_id
    from limner.storage.db.database import Database
    from limner.storage.disk_reserve import Reserve
    from limner.storage.history.history import History

    loaded = settings_module.load()
    if not recovering:
        store_id.check(loaded)

    def open_all() -> History:
        database = Database(loaded.database, loaded.home)
        return History(database, open_store(loaded), loaded.home, recovering=recovering)

    return Reserve(loaded.home).with_room(open_all)


def _shortened(prompt: str) -> str:
    """A prompt on one line of a table."""
    line = " ".join(prompt.split())
    return line if len(line) <= _PROMPT_CHARS else f"{line[: _PROMPT_CHARS - 1]}…"


def _unknown(id: str) -> InvalidRequest:
    return InvalidRequest(
        f"There is no request {id} in the history", hint="limner history list shows them"
    )
