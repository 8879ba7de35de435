"""What a search in the history asks for, as conditions in SQL that SQLite and PostgreSQL share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MAX_WORDS = 12

Conditions = tuple[list[str], list[Any]]  # joined by AND, and the values of their marks


@dataclass(frozen=True)
class Search:
    """Which requests are wanted; None: of any kind. All that is given must hold."""

    words: tuple[str, ...] = ()  # each is somewhere in the prompt, in any case
    model: str | None = None
    since_s: float | None = None  # Unix time of the oldest
    until_s: float | None = None  # Unix time before which it was asked for
    starred: bool | None = None  # true: has a starred picture; false: has none
    sha256: str | None = None  # has the picture of this file
    parent: str | None = None  # began with the picture of this file
    key_name: str | None = None

    def conditions(self) -> Conditions:
        """The conditions on a row of `requests`."""
        parts: list[str] = []
        values: list[Any] = []
        for word in self.words[:MAX_WORDS]:
            parts.append("lower(prompt) LIKE ? ESCAPE '!'")
            values.append(f"%{_literal(word.lower())}%")
        for condition, value in (
            ("model = ?", self.model),
            ("created_s >= ?", self.since_s),
            ("created_s < ?", self.until_s),
            ("key_name = ?", self.key_name),
            (_has("sha256 = ?"), self.sha256),
            (_has("parent = ?"), self.parent),
        ):
            if value is not None:
                parts.append(condition)
                values.append(value)
        if self.starred is not None:
            parts.append(("" if self.starred else "NOT ") + HAS_STAR)
        return parts, values


def _has(condition: str) -> str:
    return f"id IN (SELECT request_id FROM pictures WHERE {condition})"


HAS_STAR = _has("starred = 1")


def _literal(text: str) -> str:
    """`text` for LIKE, with nothing in it that stands for other characters."""
    for char in "!%_":
        text = text.replace(char, "!" + char)
    return text
