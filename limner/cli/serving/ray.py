"""`limner ray`: pools of replicas on a Ray cluster."""

from __future__ import annotations

import re
from typing import Any

import click

from limner import settings as settings_module
from limner.cli.table import print_table
from limner.errors import SettingsError
from limner.settings import Settings


@click.group()
def ray() -> None:
    """Draw on the machines of a Ray cluster (limner[ray])."""


_address = click.option(
    "--address", metavar="ADDRESS", help="The cluster.  [default: LIMNER_RAY_ADDRESS]"
)
_pool = click.option("--pool", metavar="NAME", help="The pool.  [default: LIMNER_RAY_POOL, limner]")


@ray.command()
@click.argument("models", nargs=-1)
@_address
@_pool
@click.option(
    "--replicas",
    default="1",
    show_default=True,
    metavar="N|MIN:MAX",
    help="How many; of MIN to MAX as many as there are pictures to draw.",
)
@click.option(
    "--cpus",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0),
    help="Processor cores of each.",
)
@click.option(
    "--gpus", default=0.0, show_default=True, type=click.FloatRange(0), help="GPUs of each."
)
@click.option(
    "--memory",
    metavar="MB",
    help="Memory of each; its models share it.  [default: LIMNER_MEMORY]",
)
def deploy(
    models: tuple[str, ...],
    address: str | None,
    pool: str | None,
    replicas: str,
    cpus: float,
    gpus: float,
    memory: str | None,
) -> None:
    """Start a pool of replicas that draw MODELS, or replace it.

    A model is a name of `limner models`; by default it is the engine of the settings. Its folder
    must be at the same place on all machines.
    """
    n_min, n_max = _bounds(replicas)
    loaded = _loaded(address, pool, memory=memory)
    cluster, pools = _ray_parts()
    from limner.engines.ray.pooled_models import chosen

    cards = chosen(models or (loaded.engine,), loaded)
    with cluster.connected(loaded.ray_address):
        shape = pools.Shape(n_min, n_max, cpus, gpus)
        abouts = pools.deploy(loaded.ray_pool, cards, shape, loaded)
    for card, about in zip(cards, abouts, strict=True):
        click.echo(f"{card.name}: {about.model}, on {replicas} replicas", err=True)
    click.echo(
        f"draw with it: LIMNER_RAY_POOL={loaded.ray_pool} limner serve --engine ray", err=True
    )


@ray.command()
@_address
def status(address: str | None) -> None:
    """List the pools of the cluster: state, running replicas, and what is wrong."""
    loaded = _loaded(address, None)
    cluster, pools = _ray_parts()
    with cluster.connected(loaded.ray_address):
        found = pools.status()
    if found:
        print_table(
            [
                one.name,
                one.state.lower(),
                f"{one.n_running} running",
                one.message.partition("\n")[0],
            ]
            for one in found.values()
        )


@ray.command()
@click.argument("pool")
@_address
def rm(pool: str, address: str | None) -> None:
    """End the replicas of POOL."""
    loaded = _loaded(address, pool)
    cluster, pools = _ray_parts()
    with cluster.connected(loaded.ray_address):
        pools.remove(pool)


def _loaded(address: str | None, pool: str | None, **more: str | None) -> Settings:
    return settings_module.load({"ray_address": address, "ray_pool": pool} | more)


def _ray_parts() -> tuple[Any, Any]:
    """The modules that need Ray. Raises MissingExtra."""
    from limner.engines.registry import imported

    names = ("limner.engines.ray.cluster", "limner.engines.ray.pool")
    cluster, pool = (imported(name, "limner ray", "ray") for name in names)
    return cluster, pool


def _bounds(text: str) -> tuple[int, int]:
    """The least and the largest number of replicas of "N" or "MIN:MAX"."""
    match = re.fullmatch(r"([0-9]{1,4})(?::([0-9]{1,4}))?", text, re.ASCII)
    n_min, n_max = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if n_max < 1 or n_min > n_max:
        raise SettingsError(
            f"--replicas {text!r} is neither a number nor MIN:MAX",
            hint="write it as --replicas 4 or --replicas 1:8",
        )
    return n_min, n_max
