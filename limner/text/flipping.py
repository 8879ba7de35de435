"""Whether what a prompt names may be drawn the other way round, as in a mirror."""

import json
import re
from functools import cache
from pathlib import Path

_WORD = re.compile(r"[a-z']+")
_WRITTEN = re.compile(r"\d|[A-Z]{2}|[\"“”「」《]")


def may_turn(prompt: str) -> bool:
    """True unless a prompt names writing, a side, or a thing that has one way round."""
    if _WRITTEN.search(prompt):
        return False
    english, chinese = _not_mirrored()
    words = _WORD.findall(prompt.lower())
    if any(word in english or word.removesuffix("s") in english for word in words):
        return False
    return not any(word in prompt for word in chinese)


@cache
def _not_mirrored() -> tuple[frozenset[str], tuple[str, ...]]:
    path = Path(__file__).with_name("not_mirrored.json")
    table = json.loads(path.read_text(encoding="utf-8"))
    return frozenset(table["en"]), tuple(table["zh"])
