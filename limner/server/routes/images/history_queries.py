"""Query parameters of the history: words, model, dates, stars, and the tree of edits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from limner.server.openai import errors
from limner.storage.history.search import MAX_WORDS, Search

MAX_CHARS = 200

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_FLAGS = {"true": True, "false": False}


def search(query: Mapping[str, str]) -> Search:
    """Parse `query`; empty values count as absent. Raises ApiError (400)."""
    given = {name: value for name, value in query.items() if value}
    return Search(
        words=_words(given.get("q")),
        model=_text(given.get("model"), "model"),
        since_s=_moment(given.get("since"), "since"),
        until_s=_moment(given.get("until"), "until", is_end=True),
        starred=_flag(given.get("starred")),
        sha256=_hash(given.get("sha256"), "sha256"),
        parent=_hash(given.get("parent"), "parent"),
    )


def _text(value: str | None, name: str) -> str | None:
    if value is not None and not (value.isprintable() and len(value) <= MAX_CHARS):
        raise errors.wrong_query(name, f"at most {MAX_CHARS} printable characters")
    return value


def _words(value: str | None) -> tuple[str, ...]:
    words = tuple((_text(value, "q") or "").split())
    if len(words) > MAX_WORDS:
        raise errors.wrong_query("q", f"at most {MAX_WORDS} words")
    return words


def _moment(value: str | None, name: str, *, is_end: bool = False) -> float | None:
    """Unix time of a date in UTC (its end if `is_end`) or of whole seconds. Raises ApiError."""
    if value is None:
        return None
    if value.isascii() and value.isdigit() and len(value) <= 11:
        return float(value)
    try:
        day = datetime.strptime(value, "%Y-%m-%d").replace(tzinfo=UTC)
        return (day + timedelta(days=1 if is_end else 0)).timestamp()
    except (ValueError, OverflowError):
        raise errors.wrong_query(name, "a date such as 2026-11-26, or a Unix time") from None


def _flag(value: str | None) -> bool | None:
    if value is not None and value not in _FLAGS:
        raise errors.wrong_query("starred", "true or false")
    return None if value is None else _FLAGS[value]


def _hash(value: str | None, name: str) -> str | None:
    if value is not None and not _SHA256.fullmatch(value):
        raise errors.wrong_query(name, "a SHA-256 of 64 hexadecimal digits")
    return value
