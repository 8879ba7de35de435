"""Words of requests, which name nothing to draw: "could you draw me", 的图片."""

import json
from functools import cache
from pathlib import Path


@cache
def request_words() -> tuple[frozenset[str], frozenset[str]]:
    """The English words and the Chinese characters."""
    path = Path(__file__).with_suffix(".json")
    table = json.loads(path.read_text(encoding="utf-8"))
    return frozenset(table["en"]), frozenset(table["zh"])
