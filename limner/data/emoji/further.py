"""What the drawings of the further artists show: a table made by hand, by looking at each.

Their own names are in many languages, or name an idea ("cash-payment-bill"). A drawing that the
table does not name has no certain words, and is left out.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

NO_NAME = "nothing certain can be said about it"


@cache
def table() -> dict[str, Any]:
    """further.json: what the drawings show; Chinese and groups of things that are no emoji."""
    record: dict[str, Any] = json.loads(
        Path(__file__).with_name("further.json").read_text(encoding="utf-8")
    )
    return record


@cache
def things(artist: str) -> dict[str, str]:
    """What each named drawing of an artist shows, by the artist's own name of the drawing."""
    named = table()["drawings"].get(artist, {})
    return {name: thing for thing, names in named.items() for name in names}


def labels(thing: str) -> dict[str, str]:
    """The names of a thing that is no emoji; Chinese only where someone knew it."""
    chinese = table()["zh"].get(thing)
    return {"en": thing} | ({"zh": chinese} if chinese else {})


def group(thing: str) -> str:
    """The emoji group that a thing would belong to."""
    return next((group for group, names in table()["groups"].items() if thing in names), "icons")
