"""Downloading a model for `limner models add`: said before it begins, with a bar."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click

from limner.engines.cards.card import Card
from limner.progress import StepProgress
from limner.storage.hub import downloads
from limner.storage.hub.downloads import Plan
from limner.storage.hub.source import parse


def downloaded(source: str, name: str, home: Path) -> Plan | None:
    """The download of `source` as the model `name`, done; None if it is no hub's and no file's."""
    found = parse(source)
    if found is None:
        return None
    plan = downloads.plan(found, name, home)
    n_files = "1 file" if len(plan.files) == 1 else f"{len(plan.files)} files"
    click.echo(
        f"{plan.source}: {n_files}, {_gb(plan.n_bytes)}, licence {plan.licence}; "
        f"{_gb(plan.n_left())} to fetch, {_gb(plan.n_free)} free in {plan.folder.parent}",
        err=True,
    )
    with _bar() as progress:
        downloads.fetch(plan, progress)
    click.echo(f"{plan.folder} is complete, and its hashes are right", err=True)
    return plan


def with_source(card: Card, plan: Plan) -> Card:
    """The card of a download: it names where it came from."""
    licence = plan.licence if card.licence == "unknown" else card.licence
    return replace(card, source=plan.source, licence=licence)


def folder_of(card: Card, home: Path) -> Path | None:
    """Where the files of a card are that limner has downloaded; None if it has not."""
    folder = home / downloads.FOLDER / card.name
    told = downloads.told_of(folder)
    return folder if told is not None and told["source"] == card.source else None


@contextmanager
def _bar() -> Iterator[StepProgress]:
    """A progress bar of bytes on a terminal; elsewhere nothing is shown."""
    if not sys.stderr.isatty():
        yield lambda n_done, n_all: None
        return
    from rich import progress
    from rich.console import Console

    with progress.Progress(
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task("downloading", total=None)
        yield lambda n_done, n_all: bar.update(task, completed=n_done, total=n_all)


def _gb(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:,.2f} GB"
