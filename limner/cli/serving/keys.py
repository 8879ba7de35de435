"""`limner keys`: the keys of the server, their scopes and limits."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from limner import settings as settings_module
from limner.cli.table import print_table
from limner.errors import InvalidRequest

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
    help="What the key may do; admin sees and deletes all requests. May be repeated.",
)
@click.option("--requests-per-minute", type=_COUNT, metavar="N", help="Requests a minute.")
@click.option("--pictures-per-minute", type=_COUNT, metavar="N", help="Pictures a minute.")
@click.option("--pictures-per-day", type=_COUNT, metavar="N", help="Pictures a day, of UTC.")
@click.option("--concurrent", type=_COUNT, metavar="N", help="Queued and running requests.")
def create(
    name: str,
    scopes: tuple[str, ...],
    requests_per_minute: int | None,
    pictures_per_minute: int | None,
    pictures_per_day: int | None,
    concurrent: int | None,
) -> None:
    """Make a key and print it, once."""
    from limner.storage.db.keys import Limits

    limits = Limits(requests_per_minute, pictures_per_minute, pictures_per_day, concurrent)
    click.echo(_open().create(name, list(dict.fromkeys(scopes)), limits))
    click.echo("keep it: it is stored as a hash and cannot be shown again", err=True)


@keys.command("list")
def list_() -> None:
    """List the keys: those of LIMNER_API_KEYS in order, then the others by age."""
    table = [["NAME", "SCOPES", "MADE", "STATE", "LIMITS"]]
    set_ = [[name, "draw", "-", "in LIMNER_API_KEYS", "none"] for name in _names_of_settings()]
    print_table([*table, *set_, *(_row(key) for key in _open().all())])


@keys.command()
@click.argument("old")
@click.argument("new")
def move(old: str, new: str) -> None:
    """Move the requests of key OLD to key NEW.

    OLD is key-1, key-2 and so on: older versions named the keys of LIMNER_API_KEYS by position.
    Limner cannot know which key had that position, so requests are moved only by this command.
    """
    store = _open()
    names = [*_names_of_settings(), *(key.name for key in store.all() if key.revoked_s is None)]
    if new not in names:
        raise InvalidRequest(
            f"There is no key named {new} that works",
            param="new",
            hint="limner keys list shows them, with LIMNER_API_KEYS as the server has it",
        )
    n_moved = store.move(old, new)
    click.echo(f"{n_moved} requests of {old} are of {new} now", err=True)


@keys.command()
@click.argument("name")
def revoke(name: str) -> None:
    """Revoke a key permanently; a running server refuses it within 2 seconds."""
    store = _open()
    store.revoke(name)
    click.echo(f"{name} works no longer", err=True)
    if not _names_of_settings() and all(key.revoked_s is not None for key in store.all()):
        click.echo(
            "no key is left, and the server still asks for one: limner keys create NAME makes "
            "another",
            err=True,
        )


def _names_of_settings() -> list[str]:
    from limner.storage.db.keys import setting_name

    return [setting_name(secret) for secret in settings_module.load().api_keys]


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
