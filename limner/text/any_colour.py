"""Things that come in any colour: where a prompt says none, the seed may choose it."""

import json
import re
from functools import cache
from pathlib import Path

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink")

_HAN = re.compile(r"[\u3400-\u9fff]")


def comes_in_any_colour(name: str) -> bool:
    """Whether a thing does, by its bare name: "car", "sports car", 汽车; not "fire truck"."""
    english, chinese, fixed = _table()
    if _HAN.search(name):
        return name in chinese
    return name.rpartition(" ")[2] in english and name not in fixed


@cache
def _table() -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    path = Path(__file__).with_name("any_colour.json")
    table = json.loads(path.read_text(encoding="utf-8"))
    return frozenset(table["en"]), frozenset(table["zh"]), frozenset(table["not"])
