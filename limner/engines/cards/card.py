"""Models as cards: what is known of each without loading it, a small file a model.

A card names an engine and the settings that the engine is built with, so that one server can have
several models of one engine. It holds no key: it names the variable of the environment that does.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from limner.engines.apart.parent import load
from limner.engines.base import Capabilities, Engine
from limner.errors import DataError, LimnerError, SettingsError
from limner.options import Options, OptionSpec
from limner.request import Size, SizeRule
from limner.settings import Settings
from limner.storage import files

FOLDER = "models"  # in the home
_ALIASES = "aliases.json"
_FORMAT = 1
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)


@dataclass(frozen=True)
class Card:
    """A model: who draws it, from what, and what it can do."""

    name: str
    engine: str
    source: str  # a folder, or the address of a service
    n_bytes: int  # that it takes in memory, about; 0 for a service
    licence: str
    capabilities: Capabilities
    max_concurrency: int = 1
    settings: Mapping[str, Any] = field(default_factory=dict)  # of the engine, over the server's
    key_variable: str = ""  # of the environment: where a service's key stands
    defaults: Options = Options()  # noqa: RUF009  frozen; of its options
    apart: bool = False  # drawn in a process of its own

    def build(self, settings: Settings) -> Engine:
        """Load it; raises what the engine says is wrong."""
        given = dict(self.settings)
        if self.key_variable:
            key = os.environ.get(self.key_variable, "")
            if not key:
                raise SettingsError(
                    f"Model {self.name} needs a key, and {self.key_variable} is not set",
                    hint=f"set {self.key_variable} in the environment of limner",
                )
            given["upstream_key"] = (key,)
        asked = dataclasses.replace(settings, **given)
        engine = load(self.engine, asked, apart=self.apart)
        engine.model = self.name
        return engine

    def as_json(self) -> dict[str, Any]:
        """All of it, as `from_json` reads it."""
        told = dataclasses.asdict(dataclasses.replace(self, defaults=Options()))
        return {"format": _FORMAT} | told | {"defaults": dict(self.defaults)}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Card:
        """Raises KeyError, TypeError or ValueError for what `as_json` did not write."""
        if told["format"] != _FORMAT:
            raise ValueError
        names = {one.name for one in dataclasses.fields(cls)}
        given = {name: value for name, value in told.items() if name in names}
        given["capabilities"] = _capabilities(told["capabilities"])
        given["settings"] = {name: _plain(value) for name, value in told["settings"].items()}
        return cls(**given | {"defaults": Options(told["defaults"])})


class Cards:
    """The cards of a home, and other names for them."""

    def __init__(self, home: Path) -> None:
        self.folder = home / FOLDER

    def all(self) -> dict[str, Card]:
        """Every card by its name. Raises DataError for one that cannot be read."""
        paths = sorted(self.folder.glob("*.json")) if self.folder.is_dir() else []
        return {path.stem: self._read(path) for path in paths if path.name != _ALIASES}

    def changed_ns(self) -> int:
        """When a card or an alias was last added, replaced or removed; 0 if there is none yet."""
        return self.folder.stat().st_mtime_ns if self.folder.is_dir() else 0

    def find(self, name: str) -> Card | None:
        """The card of a model, by its name or an alias."""
        name = self.aliases().get(name, name)
        path = self._path(name)
        return self._read(path) if _NAME.fullmatch(name) and path.exists() else None

    def get(self, name: str) -> Card:
        """The same; a DataError that lists the cards if there is none."""
        card = self.find(name)
        if card is None:
            names = ", ".join(self.all())
            hint = f"models are {names}" if names else "`limner models add NAME SOURCE` adds one"
            raise DataError(f"There is no model {name!r}", hint=hint)
        return card

    def add(self, card: Card, *, replace: bool = False) -> None:
        """Keep `card`; a DataError if there is one of its name, unless it is to be replaced."""
        self.check_free(card.name, replace=replace)
        self._write(self._path(card.name), card.as_json())

    def check_free(self, name: str, *, replace: bool = False) -> None:
        """Raise DataError if there is a card `name`, unless it is to be replaced."""
        if self._path(name).exists() and not replace:
            raise DataError(
                f"There is a model {name} already", hint="give --replace, or another name"
            )

    def remove(self, name: str) -> Card:
        """Forget a card and its aliases; what it was made of stays where it is."""
        card = self.get(name)
        self._path(card.name).unlink()
        left = {alias: to for alias, to in self.aliases().items() if to != card.name}
        if left != self.aliases():
            self._write(self.folder / _ALIASES, left)
        return card

    def aliases(self) -> dict[str, str]:
        """The names of cards by their aliases."""
        path = self.folder / _ALIASES
        return dict(_parsed(path)) if path.exists() else {}

    def alias(self, alias: str, name: str) -> None:
        """Let `alias` mean the card `name` from now on."""
        if not _NAME.fullmatch(alias):
            raise _wrong_name(alias)
        if alias in self.all():
            raise DataError(f"There is a model {alias} already", hint="take another alias")
        target = self.get(name).name
        self._write(self.folder / _ALIASES, self.aliases() | {alias: target})

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _read(self, path: Path) -> Card:
        try:
            return Card.from_json(_parsed(path))
        except (KeyError, TypeError, ValueError, AttributeError, LimnerError) as error:
            raise _unreadable(path) from error

    def _write(self, path: Path, told: Mapping[str, Any]) -> None:
        files.make_private_folder(self.folder)
        files.write_whole(path, json.dumps(told, indent=2).encode() + b"\n")


def check_name(name: str) -> None:
    """Raise DataError for what cannot be the name of a card."""
    if not _NAME.fullmatch(name) or f"{name}.json" == _ALIASES:
        raise _wrong_name(name)
    if name.startswith(("dall-e-", "gpt-image-", "chatgpt-image-")) or name == "default":
        raise DataError(
            f"{name} is a name that clients know with rules of its own",
            hint=f"add the model by another name, and then `limner models alias {name} NAME`",
        )


def _wrong_name(name: str) -> DataError:
    return DataError(
        f"{name!r} is no name of a model",
        hint="names have a to z, 0 to 9, dots, hyphens and _, at most 64, a letter or digit first",
    )


def _parsed(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise _unreadable(path) from error
    if not isinstance(told, dict):
        raise _unreadable(path)
    return told


def _unreadable(path: Path) -> DataError:
    return DataError(
        f"The card {path} cannot be read",
        hint="delete it, and add the model again",
    )


def _capabilities(told: Mapping[str, Any]) -> Capabilities:
    sizes = dict(told["sizes"])
    sizes["choices"] = tuple(Size(**size) for size in sizes["choices"])
    options = tuple(
        OptionSpec(**one | {"choices": tuple(one["choices"])}) for one in told["options"]
    )
    styles = tuple((english, chinese) for english, chinese in told.get("styles", ()))
    found = {"sizes": SizeRule(**sizes), "options": options, "styles": styles}
    return Capabilities(**{**told, **found})


def _plain(value: Any) -> Any:
    """Settings hold tuples, and JSON gives lists."""
    return tuple(value) if isinstance(value, list) else value
