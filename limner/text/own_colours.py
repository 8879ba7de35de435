"""The colours that things come in: where a prompt says none, the seed may choose among them."""

import json
import re
from functools import cache
from pathlib import Path

_HAN = re.compile(r"[\u3400-\u9fff]")


def own_colours(name: str) -> tuple[str, ...]:
    """Names of colours that a thing comes in, by its bare name; () for one that has its own.

    "sports car" and 汽车 come in many; "fire truck" and 消防车 in one.
    """
    by_word, fixed = _table()
    if _HAN.search(name):
        return by_word.get(name, ())
    return () if name in fixed else by_word.get(name.rpartition(" ")[2], ())


@cache
def _table() -> tuple[dict[str, tuple[str, ...]], frozenset[str]]:
    path = Path(__file__).with_name("own_colours.json")
    table = json.loads(path.read_text(encoding="utf-8"))
    by_word = {
        word: tuple(kind["colours"])
        for kind in table["kinds"]
        for word in (*kind["en"], *kind["zh"])
    }
    return by_word, frozenset(table["not"])
