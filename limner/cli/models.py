"""`limner models`: the engines and weights of this installation."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import fields
from urllib.parse import quote

import click

from limner import settings
from limner.cli import unused_options
from limner.cli.drawing.options import given_options
from limner.cli.serving.running_server import ask
from limner.cli.table import print_table
from limner.engines.base import Capabilities
from limner.engines.cards.card import Cards
from limner.engines.registry import engines
from limner.errors import DataError, WeightsError
from limner.options import OptionSpec
from limner.storage.hub import downloads
from limner.studio import Studio


class _Models(click.Group):
    """Takes the name of an engine or a model for `show NAME`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = ["show", *args]
        return super().resolve_command(ctx, args)


@click.group(cls=_Models, invoke_without_command=True)
@click.pass_context
def models(context: click.Context) -> None:
    """List engines, weights and models, add models, or say what one can do.

    Without a command it lists them; `limner models NAME` is `limner models show NAME`.
    """
    if context.invoked_subcommand is None:
        _list()


@models.command("list")
def list_() -> None:
    """List engines, weights and models, and check the weights."""
    _list()


@models.command()
@click.argument("name")
def show(name: str) -> None:
    """Say what an engine or a model can do, and which options it takes."""
    loaded = settings.load()
    card = None if name in engines() else Cards(loaded.home).find(name)
    if card is None:
        _show(name)
        return
    told = {
        "model": card.name,
        "engine": card.engine,
        "source": card.source,
        "memory": _megabytes(card.n_bytes),
        "licence": card.licence,
        "process": "its own" if card.apart else "",
        "defaults": ", ".join(f"{key}={value}" for key, value in card.defaults.items()),
    }
    print_table([key, value] for key, value in told.items() if value)
    click.echo()
    _show_abilities(card.capabilities)


@models.command()
@click.argument("name")
@click.argument("source")
@click.option("--licence", default="unknown", help="What its makers allow, for `show`.")
@click.option("--dialect", default="openai", show_default=True, help="What a service understands.")
@click.option("--model", default="", metavar="ID", help="Model that a service is asked for.")
@click.option(
    "--key-variable", default="", metavar="NAME", help="Variable that holds a service's key."
)
@click.option(
    "--option", "defaults", metavar="NAME=VALUE", multiple=True, help="Default of an option."
)
@click.option(
    "--setting",
    "engine_settings",
    metavar="NAME=VALUE",
    multiple=True,
    help="Setting of limner that holds for this model alone.",
)
@click.option("--apart", is_flag=True, help="Draw in a process of its own.")
@click.option("--replace", is_flag=True, help="Also if there is a model of this name.")
def add(
    name: str,
    source: str,
    licence: str,
    dialect: str,
    model: str,
    key_variable: str,
    defaults: tuple[str, ...],
    engine_settings: tuple[str, ...],
    apart: bool,
    replace: bool,
) -> None:
    """Let NAME be the model at SOURCE: a folder, a download, or the address of a service.

    A folder of limner weights or of a diffusers pipeline is checked and loaded once.
    hf:OWNER/REPO[@REVISION], and an address that ends in .gguf or .safetensors, is downloaded
    first. A service is asked nothing. A running server sees the model at its next request.
    """
    from limner.cli.downloading import downloaded, with_source
    from limner.engines.cards.detect import (  # numpy, which --help does not need
        card_for,
        check_new,
        is_address,
    )

    if not is_address(source):
        names = ("dialect", "model", "key_variable")
        unused_options.refuse(names, f"on the folder {source}; it is for a service")
    loaded = settings.load()
    check_new(name, Cards(loaded.home), replace=replace)
    plan = downloaded(source, name, loaded.home)
    card = card_for(
        name,
        str(plan.single or plan.folder) if plan else source,
        loaded,
        licence=licence,
        dialect=dialect,
        model=model,
        key_variable=key_variable,
        defaults=given_options(defaults),
        engine_settings=given_options(engine_settings, "setting"),
        apart=apart,
    )
    if plan:
        card = with_source(card, plan)
    Cards(loaded.home).add(card, replace=replace)
    click.echo(f"{card.name}: drawn by {card.engine}, {_megabytes(card.n_bytes)}", err=True)


@models.command()
@click.argument("source")
@click.argument("folder")
def convert(source: str, folder: str) -> None:
    """Make, once, of the files in SOURCE the new FOLDER, which can be added as a model.

    SOURCE holds the public files of DALL·E mini or mega (.pt), or a Stable Diffusion pipeline of
    diffusers, of which OpenVINO IR is made.
    """
    from limner.engines.cards.converting import (
        convert as converted,
    )  # numpy, which --help does not need

    converted(source, folder)
    click.echo(f"{folder} is made; `limner models add NAME {folder}` adds it", err=True)


@models.command()
@click.argument("name")
@click.option("--files", "with_files", is_flag=True, help="Delete what was downloaded, too.")
def rm(name: str, with_files: bool) -> None:
    """Forget the model NAME and its aliases; its files stay where they are."""
    from limner.cli.downloading import folder_of

    home = settings.load().home
    card = Cards(home).get(name)
    folder = folder_of(card, home)
    if with_files and folder is None:
        raise DataError(
            f"{card.name} was not downloaded by limner: {card.source}", hint="leave out --files"
        )
    Cards(home).remove(name)
    if with_files and folder is not None:
        n_bytes = downloads.remove(folder, home)
        click.echo(f"{card.name} is forgotten, {_megabytes(n_bytes)} are deleted", err=True)
    else:
        click.echo(f"{card.name} is forgotten; {folder or card.source} is as it was", err=True)


@models.command()
@click.argument("alias")
@click.argument("name")
def alias(alias: str, name: str) -> None:
    """Let ALIAS, such as gpt-image-2, mean the model NAME from now on."""
    Cards(settings.load().home).alias(alias, name)


def _of_server(command: Callable[..., None]) -> Callable[..., None]:
    """The options of a command that asks a server."""
    url = click.option("--url", metavar="URL", help="The server.  [default: as the settings say]")
    key = click.option(
        "--key", envvar="OPENAI_API_KEY", metavar="KEY", help="Its key.  [env: OPENAI_API_KEY]"
    )
    return url(key(command))


@models.command()
@_of_server
def ps(url: str | None, key: str | None) -> None:
    """List the models that a running server has in memory."""
    answer = ask("GET", "/v1/models", url, key, settings.load())
    rows = [
        [model["id"], _megabytes(model["bytes"]), "drawing" if model["drawing"] else "idle"]
        for model in answer["data"]
        if model.get("loaded")
    ]
    if rows:
        print_table(rows)


@models.command()
@click.argument("name")
@_of_server
def stop(name: str, url: str | None, key: str | None) -> None:
    """Let a running server give the memory of the model NAME back; needs a key with admin."""
    ask("POST", f"/v1/models/{quote(name, safe='')}/stop", url, key, settings.load())


def _list() -> None:
    from limner.storage.checkpoints import weights  # numpy, which --help does not need

    loaded = settings.load()
    rows = [["KIND", "NAME (* IN USE)", "MEMORY", "ABOUT"]]
    rows += [
        ["engine", _starred(info.name, loaded.engine), "", info.summary]
        for info in engines().values()
    ]
    damaged = None
    for name in weights.shipped():
        size, state = "", "undamaged"
        try:
            size = _megabytes(weights.read(weights.find(name)).n_bytes)
        except WeightsError as error:
            state, damaged = "damaged", error
        rows.append(["weights", _starred(name, loaded.weights), size, state])
    cards = Cards(loaded.home)
    for name, card in cards.all().items():
        about = f"{card.engine}, {card.source}"
        rows.append(["model", _starred(name, loaded.engine), _megabytes(card.n_bytes), about])
    rows += [["alias", other, "", name] for other, name in cards.aliases().items()]
    print_table(rows)
    if damaged:
        raise damaged


def _show(name: str) -> None:
    """Print the abilities and options of engine `name`, which is loaded."""
    with closing(Studio(settings.load({"engine": name}))) as studio:
        able = studio.engine().capabilities
    _show_abilities(able)


def _show_abilities(able: Capabilities) -> None:
    told = {"sizes": str(able.sizes)} | {
        field.name: str(getattr(able, field.name)).lower()
        for field in fields(able)
        if field.name not in ("sizes", "options")
    }
    print_table([text.replace("_", " "), value] for text, value in told.items())
    if able.options:
        click.echo()
        print_table(_option_row(spec) for spec in able.options)


def _option_row(spec: OptionSpec) -> list[str]:
    values = "|".join(spec.choices) or spec.kind
    if spec.low is not None and spec.high is not None:
        values = f"{spec.low:g} to {spec.high:g}"
    default = spec.unset or "" if spec.default is None else f"default {spec.default}"
    return ["option", spec.name, values, default, spec.description]


def _starred(name: str, chosen: str) -> str:
    """`name`, marked if it is the default."""
    return f"{name} *" if name == chosen else name


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:.1f} MB"
