"""A card for a folder or an address: which engine draws it is found by looking."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from limner.engines.base import Capabilities
from limner.engines.cards.card import Card, check_name
from limner.engines.cards.converting import is_dalle_mini
from limner.engines.openvino import folder as ir_folder
from limner.engines.registry import engines
from limner.engines.sdcpp import files as sdcpp_files
from limner.errors import DataError
from limner.options import Options
from limner.settings import EARLIER_ENGINES, Settings, checked
from limner.storage.checkpoints import weights

_RAY = "ray:"


def card_for(
    name: str,
    source: str,
    settings: Settings,
    *,
    licence: str = "unknown",
    dialect: str = "openai",
    model: str = "",
    key_variable: str = "",
    defaults: Mapping[str, str] | None = None,
    apart: bool = False,
) -> Card:
    """The card of the model at `source`, which is loaded once to see what it can do.

    A service is not asked anything; a pool of a Ray cluster is. Raises DataError for a source or a
    name that will not do, and what the engine says is wrong.
    """
    check_name(name)
    if name in engines() or name in EARLIER_ENGINES:
        raise DataError(f"{name} is the name of an engine", hint="take another name")
    if is_address(source):
        card = _of_service(name, source, dialect, model, key_variable)
        # What it can do depends on the dialect alone: no key is needed to see it.
        looked_at = replace(card, key_variable="", apart=apart)
    elif source.startswith(_RAY):
        card = looked_at = _of_pool(name, source, settings)
    else:
        card = _of_path(name, source)
        looked_at = replace(card, apart=apart)
    with closing(looked_at.build(settings)) as engine:
        able, max_concurrency = engine.capabilities, engine.max_concurrency
        options = able.read_options(dict(defaults or {}), card.engine)
    return replace(
        card,
        licence=licence,
        capabilities=able,
        max_concurrency=max_concurrency,
        defaults=Options(options),
        apart=apart,
    )


def is_address(source: str) -> bool:
    """Whether `source` is the address of a service, and not a folder."""
    return source.startswith(("http://", "https://"))


def _of_service(name: str, url: str, dialect: str, model: str, key_variable: str) -> Card:
    found = {
        "upstream_url": checked("upstream_url", url),
        "upstream_dialect": checked("upstream_dialect", dialect),
        "upstream_model": model,
        "upstream_key": (),
    }
    return Card(name, "upstream", url, 0, "", Capabilities(), 1, found, key_variable)


def _of_pool(name: str, source: str, settings: Settings) -> Card:
    """ray:MODEL of the pool of the settings, or ray:POOL/MODEL."""
    pool, slash, model = source.removeprefix(_RAY).rpartition("/")
    found = {
        "ray_pool": checked("ray_pool", pool if slash else settings.ray_pool),
        "ray_model": checked("ray_model", model),
    }
    return Card(name, "ray", source, 0, "", Capabilities(), 1, found)


def _of_path(name: str, source: str) -> Card:
    folder = Path(source).expanduser().absolute()
    if folder.is_file():
        n_bytes, given = sdcpp_files.check(folder).stat().st_size, {"sdcpp_model": str(folder)}
        return Card(name, "sdcpp", str(folder), n_bytes, "", Capabilities(), 1, given)
    if not folder.is_dir():
        raise DataError(
            f"{source} is neither a folder nor a file nor an address",
            hint="give a folder or a file with a model, an address that begins with https://, or "
            "ray:MODEL",
        )
    if is_dalle_mini(folder):
        raise DataError(
            f"{source} holds the files of DALL·E mini as they are published",
            hint=f"`limner models convert {source} FOLDER` makes a folder of weights of them",
        )
    if ir_folder.is_ir(folder):
        n_bytes, found = ir_folder.read(folder).n_bytes, {"openvino_model": str(folder)}
        return Card(name, "openvino", str(folder), n_bytes, "", Capabilities(), 1, found)
    if not (folder / weights.MANIFEST).is_file():
        raise DataError(
            f"{source} holds no weights that limner knows",
            hint="a folder of limner weights has manifest.json; `limner export` writes one",
        )
    checkpoint = weights.read(folder)
    engine = "transformer"
    n_bytes = checkpoint.n_bytes
    if checkpoint.kind == "dalle_mini":
        engine, n_bytes = checkpoint.kind, 4 * int(checkpoint.config["n_parameters"])
    return Card(name, engine, str(folder), n_bytes, "", Capabilities(), 1, {"weights": str(folder)})
