"""`limner keys`: who may draw, and how much."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from limner import settings as settings_module
from limner.cli.table import print_table

if TYPE_CHECKING:
    from limner.storage.db.keys import Key, KeyStore

_COUNT = click.IntRange(1, 1_000_000_000)


@click.group()
def keys() -> None:
    """Make, list and revoke the keys of the server."""


@keys.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(["draw", "admin"]),
    multiple=True,
    default=["draw"],
    show_default=True,
    help="What it is for; admin sees and deletes everyone's. May be given twice.",
)
@click.option("--requests-per-minute", type=_COUNT, metavar="N", help="Requests a minute.")
@click.option("--pictures-per-minute", type=_COUNT, metavar="N", help="Pictures a minute.")
@click.option("--pictures-per-day", type=_COUNT, metavar="N", help="Pictures a day, of UTC.")
@click.option("--concurrent", type=_COUNT, metavar="N", help="Requests that wait or are drawn.")
def create(
    name: str,
    scopes: tuple[str, ...],
    requests_per_minute: int | None,
    pictures_per_minute: int | None,
    pictures_per_day: int | None,
    concurrent: int | None,
) -> None:
    """Make a key and print it, this once."""
    from limner.storage.db.keys import Limits

    limits = Limits(requests_per_minute, pictures_per_minute, pictures_per_day, concurrent)
    click.echo(_open().create(name, list(dict.fromkeys(scopes)), limits))
    click.echo("keep it: it is stored as a hash and cannot be shown again", err=True)


@keys.command("list")
def list_() -> None:
    """List the keys by age; the keys of LIMNER_API_KEYS are not among them."""
    table = [["NAME", "SCOPES", "MADE", "STATE", "LIMITS"]]
    print_table([*table, *(_row(key) for key in _open().all())])


@keys.command()
@click.argument("name")
def revoke(name: str) -> None:
    """End a key for good; a server that runs refuses it within 2 seconds."""
    _open().revoke(name)
    click.echo(f"{name} works no longer", err=True)


def _open() -> KeyStore:
    from limner.storage.db.database import Database
    from limner.storage.db.keys import KeyStore

    loaded = settings_module.load()
    return KeyStore(Database(loaded.database, loaded.home))


def _row(key: Key) -> list[str]:
    limits = [
        f"{name.replace('_', ' ')}: {value}"
        for name, value in vars(key.limits).items()
        if value is not None
    ]
    return [
        key.name,
        "+".join(key.scopes),
        time.strftime("%Y-%m-%d", time.localtime(key.created_s)),
        "works" if key.revoked_s is None else "revoked",
        ", ".join(limits) or "none",
    ]
