"""A card for a folder or an address: which engine draws it is found by looking."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from limner.engines.base import Capabilities
from limner.engines.cards.card import Card, Cards, check_name
from limner.engines.cards.converting import is_dalle_mini
from limner.engines.diffusion import folder as diffusers_folder
from limner.engines.openvino import folder as ir_folder
from limner.engines.registry import engines
from limner.engines.sdcpp import files as sdcpp_files
from limner.errors import DataError, SettingsError
from limner.options import Options
from limner.settings import ANY_FOLDER, ANY_PATH, EARLIER_ENGINES, Settings, checked, fields
from limner.storage.checkpoints import weights

_RAY = "ray:"


@dataclass(frozen=True)
class Found:
    """What a path holds: the engine that draws it, and the settings that the engine needs."""

    engine: str
    n_bytes: int  # of its weights
    settings: Mapping[str, Any] = field(default_factory=dict)


def _limner_weights(path: Path) -> Found | None:
    if is_dalle_mini(path):
        raise DataError(
            f"{path} holds the files of DALL·E mini as they are published",
            hint=f"`limner models convert {path} FOLDER` makes a folder of weights of them",
        )
    if not (path / weights.MANIFEST).is_file():
        return None
    checkpoint = weights.read(path)
    if checkpoint.kind == "dalle_mini":
        n_bytes = 4 * int(checkpoint.config["n_parameters"])
        return Found("dalle_mini", n_bytes, {"weights": str(path)})
    return Found("transformer", checkpoint.n_bytes, {"weights": str(path)})


def _ir(path: Path) -> Found | None:
    if not ir_folder.is_ir(path):
        return None
    return Found("openvino", ir_folder.read(path).n_bytes, {"openvino_model": str(path)})


def _file(path: Path) -> Found | None:
    if not path.is_file():
        return None
    return Found("sdcpp", sdcpp_files.check(path).stat().st_size, {"sdcpp_model": str(path)})


def _pipeline(path: Path) -> Found | None:
    if not diffusers_folder.is_pipeline(path):
        return None
    # A GGUF file may take the place of the transformer: its weights need not be there.
    n_bytes = diffusers_folder.read(path, without=("transformer",)).n_bytes
    return Found("diffusion", n_bytes, {"diffusion_model": str(path)})


# Each looks at a path, and says what is there if it knows it; the first one that does is believed.
LOOKS: tuple[Callable[[Path], Found | None], ...] = (
    _limner_weights,
    _file,
    _ir,
    _pipeline,
)


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
    engine_settings: Mapping[str, str] | None = None,
    apart: bool = False,
) -> Card:
    """The card of the model at `source`, which is loaded once to see what it can do.

    engine_settings: settings as text that its engine is built with, over those of the server.
    A service is not asked anything; a pool of a Ray cluster is. Raises DataError for a source or a
    name that will not do, and what the engine says is wrong.
    """
    _check_free(name)
    if is_address(source):
        card = _of_service(name, source, dialect, model, key_variable)
        # What it can do depends on the dialect alone: no key is needed to see it.
        looked_at = replace(card, key_variable="", apart=apart)
    elif source.startswith(_RAY):
        card = looked_at = _of_pool(name, source, settings)
    else:
        card = _of_path(name, source)
        card = replace(card, settings={**card.settings, **_checked(engine_settings or {})})
        looked_at = replace(card, apart=apart)
    with closing(looked_at.build(settings)) as engine:
        able, max_concurrency = engine.capabilities, engine.max_concurrency
        n_bytes = engine.n_bytes or card.n_bytes
        options = able.read_options(dict(defaults or {}), card.engine)
    return replace(
        card,
        licence=licence,
        n_bytes=n_bytes,
        capabilities=able,
        max_concurrency=max_concurrency,
        defaults=Options(options),
        apart=apart,
    )


def check_new(name: str, cards: Cards, *, replace: bool = False) -> None:
    """Raise DataError, before work is done for it, if a card cannot have this name."""
    _check_free(name)
    cards.check_free(name, replace=replace)


def _check_free(name: str) -> None:
    check_name(name)
    if name in engines() or name in EARLIER_ENGINES:
        raise DataError(f"{name} is the name of an engine", hint="take another name")


def _checked(given: Mapping[str, str]) -> dict[str, Any]:
    """Settings of a card, with paths that do not depend on the folder limner is started in."""
    found = {}
    for key, text in given.items():
        if key not in fields():
            raise SettingsError(f"Setting {key} is not known", hint="`limner settings` lists them")
        if fields()[key].metadata["kind"] in (ANY_FOLDER, ANY_PATH):
            text = str(Path(text).expanduser().absolute())
        found[key] = checked(key, text)
    return found


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
    path = Path(source).expanduser().absolute()
    if not path.exists():
        raise DataError(
            f"{source} is neither a folder nor a file nor an address",
            hint="give a folder or a file with a model, an address that begins with https://, or "
            "ray:MODEL",
        )
    found = next((found for look in LOOKS if (found := look(path))), None)
    if found is None:
        raise DataError(
            f"{source} holds no weights that limner knows",
            hint="a folder of limner weights has manifest.json, which `limner export` writes; one "
            "of a diffusers pipeline has model_index.json",
        )
    return Card(name, found.engine, str(path), found.n_bytes, "", Capabilities(), 1, found.settings)
